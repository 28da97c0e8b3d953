import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { randomRecoveryPassword } from '../../src/client/index.js';
import { openReply } from '../../src/jose/index.js';
import type { ReplyStatement } from '../../src/protocol/client-message.js';
import { encodeClientMessage } from '../../src/protocol/encode-client-message.js';
import { guidToBytes, newGuid, type Guid } from '../../src/protocol/guid.js';
import { decodeReplyStatement } from '../../src/protocol/reply-statement.js';
import { answerOf, RawClient } from '../../test/support/raw-client.js';
import { openSite, siteHashOf } from '../../test/support/site-audit.js';
import type { OwnCopy } from '../../test/support/fleet.js';
import { must, type DemoContext } from './context.js';
import { took } from './screen.js';

/** The message of part 2, for later parts. */
export interface WalkedMessage {
  readonly clientId: Guid;
  readonly messageId: Guid;
  readonly keyId: Guid;
}

/** Part 2: one message, stage by stage, each answer checked as a client must check it. */
export async function walkOneMessage(context: DemoContext): Promise<WalkedMessage> {
  const { screen, engine, canary } = context;
  screen.part('one message, step by step');
  const client = await RawClient.enrol(engine.url, context.enrolmentToken);
  const volumes = [
    { volumeId: newGuid(), type: 'OS' as const, label: 'C:', passwords: [canary, randomRecoveryPassword()] },
    { volumeId: newGuid(), type: 'FIXED' as const, label: 'D:', passwords: [randomRecoveryPassword()] },
  ];
  const copies: OwnCopy[] = [];
  const message = client.message({
    type: 'ESCROW_RECOVERY_KEYS',
    volumes: volumes.map((volume) => ({
      volumeId: guidToBytes(volume.volumeId),
      volumeType: volume.type,
      driveLabel: volume.label,
      protection: 'ON' as const,
      protectors: volume.passwords.map((recoveryPassword) => {
        const keyId = newGuid();
        const value = Buffer.from(recoveryPassword);
        copies.push({ kind: 'RECOVERY_PASSWORD', keyId, volumeId: volume.volumeId, value });
        return { keyId: guidToBytes(keyId), recoveryPassword };
      }),
    })),
  });
  const { clientId, messageId } = message;
  const payload = encodeClientMessage(message);
  const digest = createHash('sha256').update(payload).digest();
  const verified = async (sealedReply: string): Promise<ReplyStatement> => {
    const reply = decodeReplyStatement(await openReply(sealedReply, message.replyKey, messageId));
    must(Buffer.from(reply.payloadDigest).equals(digest), 'the reply is about another payload');
    must(reply.siteGuid === client.siteGuid && reply.clientId === clientId, 'the reply is for somebody else');
    return reply;
  };
  screen.say(
    `client ${clientId.slice(0, 4)}… seals 2 volumes, ${copies.length} keys        the gateway holds TLS and token keys only`,
  );

  const sealed = await client.sealed(message);
  const began = performance.now();
  const first = answerOf(await client.post(client.envelope(message, sealed), { prefer: 'wait=0' }));
  must(
    first.status === 202 && first.reply?.disposition === 'QUEUED',
    `expected 202 QUEUED, got ${JSON.stringify(first)}`,
  );
  screen.say('202 QUEUED      "keep the old protector"    durable in Redis (AOF always)');
  const asked = await askUntilDone(client, messageId);
  const totalMs = performance.now() - began;
  const reply = await verified(asked.reply?.sealedReply ?? '');
  must(
    asked.status === 200 && reply.disposition === 'COMMITTED',
    `expected COMMITTED, got ${reply.disposition}`,
  );

  const store = await openSite(engine.home);
  const outcome = await store.findOutcome(clientId, messageId);
  await store.close();
  const stages = (outcome?.stages ?? []).filter((one) => one.stage !== 'receive');
  must(stages.length >= 4, 'the outcome does not record its stages');
  screen.say(
    `worker ${outcome?.decidedBy ?? ''}   ${stages.map((one) => (one.stage === 'commit' ? 'commit' : `${one.stage} ${took(one.tookMs)}`)).join(' · ')}`,
  );
  const keys = reply.volumes.flatMap((volume) => volume.keys);
  must(
    keys.length === copies.length && keys.every((key) => key.status === 'COMMITTED'),
    'not every key is committed',
  );
  screen.say(
    `200 COMMITTED   reply opened and verified, ${keys.length} keys listed   total ${took(totalMs)}`,
  );

  const rows = await rowsOf(engine.home);
  const hash = await siteHashOf(engine.home);
  const again = answerOf(await client.post(client.envelope(message, await client.sealed(message))));
  const repeated = await verified(again.reply?.sealedReply ?? '');
  must(
    repeated.disposition === 'ALREADY_COMMITTED',
    `expected ALREADY_COMMITTED, got ${repeated.disposition}`,
  );
  const written = (await rowsOf(engine.home)) - rows;
  must(written === 0 && (await siteHashOf(engine.home)) === hash, `sending it again wrote ${written} rows`);
  screen.say(`sent again      ALREADY_COMMITTED, ${written} rows written`);
  client.close();

  context.messages.push({ clientId, messageId, bodyType: 'ESCROW_RECOVERY_KEYS', copies });
  context.told.push({ clientId, messageId, disposition: 'COMMITTED' });
  return { clientId, messageId, keyId: copies[0]?.keyId ?? messageId };
}

/** Rows in every table that a message may write to. */
async function rowsOf(home: string): Promise<number> {
  const store = await openSite(home);
  try {
    const { clients, keys, secrets, outcomes, quarantined, deadLetters } = await store.counts();
    return clients + keys + secrets + outcomes + quarantined + deadLetters;
  } finally {
    await store.close();
  }
}

/** Asks for the message as a client does after QUEUED, but more often. */
async function askUntilDone(client: RawClient, messageId: Guid): Promise<ReturnType<typeof answerOf>> {
  const until = performance.now() + 60_000;
  for (;;) {
    const answer = answerOf(await client.get(`/v1/messages/${messageId}`));
    if (answer.status === 200) return answer;
    must(answer.status === 202, `asking for the message was answered ${JSON.stringify(answer)}`);
    must(performance.now() < until, 'the message is still queued after 60 seconds');
    await sleep(5);
  }
}
