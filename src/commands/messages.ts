import type { Command } from 'commander';
import { clockOf, loadConfig, type Config } from '../config/index.js';
import { isMpeError, MpeError } from '../ops/errors.js';
import { createLogger } from '../ops/log.js';
import { parseGuid, type Guid } from '../protocol/guid.js';
import { bodyTypeWord } from '../protocol/wire-enums.js';
import type { SubmitQueue } from '../queue/index.js';
import { messageJobId, type MessageJob } from '../queue/index.js';
import type { DeadLetterRow, MessageTrace, OutcomeRow, QuarantineRow } from '../store/site-store.js';
import { group } from './group.js';
import { print, printJson, time } from './output.js';
import { withRedisQueue } from './with-queue.js';
import { requireSite, withStore } from './with-store.js';

/** `mpe messages show|redrive`. */
export function register(program: Command): void {
  const messages = group(program, 'messages', 'Messages: where one is, and another try for a dead letter');
  messages
    .command('show')
    .description('show where a message is, its stages and reasons; never its content')
    .argument('<id>', 'message id')
    .option('--client <id>', 'its client, to look for it in the queue also before it is processed')
    .option('--json', 'print it as JSON', false)
    .action(show);
  messages
    .command('redrive')
    .description('let a dead letter run once more, alone')
    .argument('<client>', 'client id')
    .argument('<message>', 'message id')
    .action(redrive);
}

/** What is known of the queue: `unknown` where Redis does not answer. */
interface InQueue {
  readonly clientId: Guid;
  readonly state: 'present' | 'absent' | 'unknown';
}

async function show(
  id: string,
  options: { readonly client?: string; readonly json: boolean },
): Promise<void> {
  const messageId = parseGuid(id);
  const config = loadConfig();
  const { trace, siteGuid } = await withStore(
    config,
    async (store) => ({
      siteGuid: (await requireSite(store)).siteGuid,
      trace: await store.traceMessage(messageId),
    }),
    { readOnly: true },
  );
  const clients = new Set<Guid>([
    ...(options.client === undefined ? [] : [parseGuid(options.client)]),
    ...[...trace.outcomes, ...trace.quarantined, ...trace.deadLetters].map((row) => row.clientId),
  ]);
  const queue = await lookInQueue(config, siteGuid, messageId, [...clients]);
  if (options.json) {
    const withoutContent = {
      outcomes: trace.outcomes.map(({ digest, sealedReply: _reply, sequence, ...row }) => ({
        ...row,
        digest: Buffer.from(digest).toString('hex'),
        sequence: sequence.toString(),
      })),
      quarantined: trace.quarantined.map(({ sealed, ...row }) => ({ ...row, sealedBytes: sealed.length })),
      deadLetters: trace.deadLetters.map(({ sealed, ...row }) => ({ ...row, sealedBytes: sealed.length })),
    };
    printJson({ messageId, ...withoutContent, queue });
  } else {
    print(...describe(messageId, trace, queue));
  }
  if (isNowhere(trace, queue)) process.exitCode = 1;
}

async function lookInQueue(
  config: Config,
  siteGuid: Guid,
  messageId: Guid,
  clients: readonly Guid[],
): Promise<InQueue[]> {
  if (clients.length === 0) return [];
  try {
    return await withRedisQueue(config, siteGuid, (queue) =>
      Promise.all(
        clients.map(async (clientId) => ({
          clientId,
          state: await queue.state(messageJobId(clientId, messageId)),
        })),
      ),
    );
  } catch (error) {
    if (!isMpeError(error, 'QUEUE_UNAVAILABLE')) throw error;
    return clients.map((clientId) => ({ clientId, state: 'unknown' }));
  }
}

function isNowhere(trace: MessageTrace, queue: readonly InQueue[]): boolean {
  const rows = trace.outcomes.length + trace.quarantined.length + trace.deadLetters.length;
  return rows === 0 && !queue.some(({ state }) => state === 'present');
}

function describe(messageId: Guid, trace: MessageTrace, queue: readonly InQueue[]): string[] {
  const lines = [
    ...trace.outcomes.flatMap(outcomeLines),
    ...trace.quarantined.flatMap(quarantineLines),
    ...trace.deadLetters.flatMap(deadLetterLines),
    ...queue.flatMap(({ clientId, state }) => {
      if (state === 'present') return [`QUEUED  client ${clientId}: in the queue now`];
      return state === 'unknown' ? [`client ${clientId}: Redis does not answer, the queue is not known`] : [];
    }),
  ];
  if (lines.length > 0) return lines;
  return [
    `Message ${messageId} is nowhere: no outcome, no quarantine, no dead letter` +
      (queue.length > 0 ? ', not in the queue.' : '. For the queue, name its client with --client.'),
    'If its client still has it, it sends it again by itself. A CheckIn that was committed, and what could not',
    'be opened, leave no row: see the log (event message.*, messageId).',
  ];
}

function outcomeLines(row: OutcomeRow): string[] {
  const reason = row.reason === 'NONE' ? '' : ` ${row.reason}`;
  return [
    `${row.disposition}${reason}  ${time(row.decidedAtMs)} (attempt ${row.attempts})  by ${row.decidedBy}`,
    `  client ${row.clientId}  epoch ${row.epoch}  sequence ${row.sequence.toString()}  ${row.bodyType}`,
    ...row.stages.map(
      ({ stage, atMs, tookMs, by, note }) =>
        `  ${new Date(atMs).toISOString()}  ${stage.padEnd(8)} ${stage === 'receive' || stage === 'commit' ? '' : `${tookMs} ms  `}${by}${note === '' ? '' : `  ${note}`}`,
    ),
  ];
}

function quarantineLines(row: QuarantineRow): string[] {
  return [
    `QUARANTINED ${row.reason}  ${time(row.firstAtMs)}, last sent ${time(row.lastAtMs)} (attempt ${row.attempts})`,
    `  client ${row.clientId}  ${bodyTypeWord(row.bodyType)}  kept sealed, ${row.sealed.length} bytes`,
    ...(row.kid === '' ? [] : [`  kid ${row.kid}`]),
  ];
}

function deadLetterLines(row: DeadLetterRow): string[] {
  const sealed = row.sealed === '' ? 'sealed text no longer kept' : `kept sealed, ${row.sealed.length} bytes`;
  return [
    `DEAD LETTER ${row.cause}  ${time(row.deadAtMs)}  release ${row.release}, sent again ${row.resends} times`,
    `  client ${row.clientId}  ${bodyTypeWord(row.bodyType)}  ${sealed}`,
    `  ${row.detail}`,
    row.redrivenAtMs === null
      ? `  another try:  mpe messages redrive ${row.clientId} ${row.messageId}`
      : `  redriven ${time(row.redrivenAtMs)}: its next delivery runs alone`,
  ];
}

async function redrive(client: string, message: string): Promise<void> {
  const clientId = parseGuid(client);
  const messageId = parseGuid(message);
  const config = loadConfig();
  const { row, siteGuid } = await withStore(config, async (store) => {
    const site = await requireSite(store);
    const dead = await store.findDeadLetter(clientId, messageId);
    const now = clockOf(config, site.testSite).now();
    if (dead === null || !(await store.redriveDeadLetter(clientId, messageId, now))) {
      throw new MpeError('USAGE', `there is no dead letter ${messageId} of client ${clientId}`);
    }
    return { row: dead, siteGuid: site.siteGuid };
  });
  const queued = row.sealed !== '' && (await enqueue(config, siteGuid, row));
  print(
    queued
      ? 'Redriven and put into the queue: it runs alone. See "mpe messages show".'
      : 'Redriven: it runs alone when its client sends it again.',
  );
}

/** Puts the kept text back into the queue, as the gateway did that authenticated its sender. */
async function enqueue(config: Config, siteGuid: Guid, row: DeadLetterRow): Promise<boolean> {
  const { clientId, messageId, bodyType, sealed } = row;
  const job: MessageJob = {
    ...{ v: 1, kind: 'message', clientId, messageId, bodyType, sealed },
    sentAtMs: row.deadAtMs,
    traceparent: '',
    tracestate: '',
    channel: { method: 'site-token', clientId, epoch: 0 },
    gatewayId: 'redrive',
    receivedAtMs: row.deadAtMs,
  };
  try {
    await withRedisQueue(config, siteGuid, (queue: SubmitQueue) => queue.add(job));
    return true;
  } catch (error) {
    if (!isMpeError(error)) throw error;
    createLogger('redrive', config, { fd: 2 }).warn({ event: 'redrive.not_queued', error });
    return false;
  }
}
