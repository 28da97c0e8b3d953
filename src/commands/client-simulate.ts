import type { Command } from 'commander';
import { secretHash, simulate, type SimulationLedger } from '../client/index.js';
import { enrolmentTokenOf } from './client-common.js';
import { numberOption } from './number-option.js';
import { print, printJson, writeReport } from './output.js';

interface SimulateFlags {
  readonly url: string;
  readonly token?: string;
  readonly tokenFile?: string;
  readonly clients: number;
  readonly messages: number;
  readonly keys: number;
  readonly concurrency: number;
  readonly wait: number;
  readonly timeout: number;
  readonly stateDir?: string;
  readonly ledger?: string;
  readonly json: boolean;
}

/** `mpe client simulate`: many clients, known keys, and a ledger of what each was told. */
export function registerSimulate(client: Command): void {
  client
    .command('simulate')
    .description('run many clients with random keys and count what their verified replies say')
    .requiredOption('--url <url>', 'a gateway')
    .option('--token <text>', 'an enrolment token with enough uses')
    .option('--token-file <path>', 'a file with it ("-": standard input)')
    .option('--clients <n>', 'clients', numberOption('--clients', 1, 100_000), 10)
    .option('--messages <n>', 'messages of each', numberOption('--messages', 1, 1_000_000), 10)
    .option('--keys <n>', 'keys in each message', numberOption('--keys', 1, 8), 1)
    .option('--concurrency <n>', 'messages of a client in flight', numberOption('--concurrency', 1, 64), 4)
    .option('--wait <seconds>', 'ask the gateway to wait', numberOption('--wait', 0, 30), 10)
    .option('--timeout <seconds>', 'for all messages', numberOption('--timeout', 1, 86_400), 300)
    .option('--state-dir <path>', 'keep the states of the clients there (default: in memory)')
    .option('--ledger <file>', 'write what was sent and told; keys as SHA-256 of their text')
    .option('--json', 'print JSON', false)
    .action(run);
}

async function run(flags: SimulateFlags): Promise<void> {
  let startedMs = performance.now();
  const ledger = await simulate({
    url: flags.url,
    enrolmentToken: enrolmentTokenOf(flags),
    clients: flags.clients,
    messagesPerClient: flags.messages,
    keysPerMessage: flags.keys,
    concurrency: flags.concurrency,
    waitSeconds: flags.wait,
    timeoutMs: flags.timeout * 1000,
    ...(flags.stateDir === undefined ? {} : { stateDir: flags.stateDir }),
    onEnrolled: () => {
      startedMs = performance.now();
    },
  });
  const seconds = (performance.now() - startedMs) / 1000;
  if (flags.ledger !== undefined) writeLedger(flags.ledger, ledger);
  const answered = ledger.entries.length - ledger.counts.UNANSWERED;
  if (flags.json) printJson({ counts: ledger.counts, resent: ledger.resent, seconds });
  else {
    const counts = Object.entries(ledger.counts).filter(([, count]) => count > 0);
    print(
      `${ledger.entries.length} messages of ${ledger.clients.length} clients in ${seconds.toFixed(1)} s, ${(answered / seconds).toFixed(0)} a second, ${ledger.resent} asked or sent again`,
      counts.map(([disposition, count]) => `${disposition} ${count}`).join('  '),
    );
  }
  if (ledger.counts.UNANSWERED > 0) process.exitCode = 3;
}

/** One JSON line a message. Recovery passwords are not in it, only their hashes. */
function writeLedger(path: string, ledger: SimulationLedger): void {
  const lines = ledger.entries.map((entry) =>
    JSON.stringify({
      ...entry,
      keys: entry.keys.map(({ keyId, recoveryPassword }) => ({
        keyId,
        sha256: secretHash(recoveryPassword),
      })),
    }),
  );
  writeReport(path, `${lines.join('\n')}\n`, 0o600);
}
