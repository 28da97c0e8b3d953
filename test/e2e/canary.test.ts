import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { randomRecoveryPassword } from '../../src/client/index.js';
import { generatePrivateKey, publicPart } from '../../src/jose/index.js';
import type { Body } from '../../src/protocol/client-message.js';
import { guidToBytes, newGuid } from '../../src/protocol/guid.js';
import {
  readAll,
  searchIn,
  spellingsOfPassword,
  spellingsOfText,
  type CanaryHit,
} from '../support/canary.js';
import { Engine } from '../support/engine.js';
import { answerOf, RawClient } from '../support/raw-client.js';
import { openSite } from '../support/site-audit.js';

// One canary password goes every way that a message can go: committed, refused, quarantined,
// poisoned to a dead letter, malformed. Everything that the engine wrote is then searched.
describe('a canary password is nowhere but sealed or encrypted', () => {
  const canary = randomRecoveryPassword();
  const ownerAuth = randomBytes(20);
  const poisonId = newGuid();
  let engine: Engine;
  let client: RawClient;
  let contents: Map<string, Uint8Array>;

  const escrow = (recoveryPassword: string): Body => ({
    type: 'ESCROW_RECOVERY_KEYS',
    volumes: [
      {
        volumeId: guidToBytes(newGuid()),
        volumeType: 'OS',
        driveLabel: 'C:',
        protection: 'ON',
        protectors: [{ keyId: guidToBytes(newGuid()), recoveryPassword }],
      },
    ],
  });
  const hits = (spellings: Map<string, Buffer>): CanaryHit[] => searchIn(contents, spellings);
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

  beforeAll(async () => {
    const made = await Engine.create({
      settings: { MPE_LOG_LEVEL: 'trace', MPE_TEST_POISON: poisonId },
      quickRecovery: true,
    });
    engine = made.engine;
    client = await RawClient.enrol(engine.url, made.enrolmentToken);
  });
  afterAll(async () => {
    client.close();
    await engine.dispose();
  });

  it('is sent every way', async () => {
    const send = async (body: Body, more: Parameters<RawClient['sealed']>[1] = {}): Promise<string> => {
      const message = client.message(body);
      const answer = answerOf(
        await client.post(client.envelope(message, await client.sealed(message, more))),
      );
      return answer.reply?.disposition ?? answer.problem ?? '';
    };
    // Where the worker lost the job's short lock on a busy machine, it is told that the site has it already.
    const isCommitted = /^(ALREADY_)?COMMITTED$/;
    expect(await send(escrow(canary))).toMatch(isCommitted);
    expect(await send({ type: 'ESCROW_TPM_OWNER_AUTH', ownerAuth })).toMatch(isCommitted);
    // One wrong digit: what stands beside the rule is as secret as what keeps it.
    const wrong = `${canary.slice(0, -1)}${(Number(canary.at(-1)) + 1) % 10}`;
    expect(await send(escrow(wrong))).toBe('REJECTED');
    const stranger = publicPart(await generatePrivateKey('ECDH-ES+A256KW'));
    expect(await send(escrow(canary), { sealing: stranger })).toBe('QUARANTINED');
    const malformed = client.message(escrow(canary));
    const bytes = Buffer.concat([Buffer.from(canary), randomBytes(40)]);
    const sealed = await client.sealedBytes(bytes);
    expect(answerOf(await client.post(client.envelope(malformed, sealed))).reply?.disposition).toBe(
      'REJECTED',
    );
  });

  it('is in a message that kills its workers until it is a dead letter', async () => {
    const message = client.message(escrow(canary), { messageId: poisonId });
    const envelope = client.envelope(message, await client.sealed(message));
    await client.post(envelope, { prefer: 'wait=0' });
    const store = await openSite(engine.home);
    await expect
      .poll(
        async () => {
          // A service manager starts ended workers again.
          if (engine.workers[0]?.running === false) await engine.startWorker(0);
          return (await store.findDeadLetter(client.clientId, poisonId))?.cause;
        },
        { timeout: 300_000, interval: 200 },
      )
      .toBe('KILLED_ITS_WORKER');
    await store.close();
  }, 360_000);

  it('is found in none of what the engine wrote', async () => {
    const metrics = await (await fetch(`${engine.opsUrl}/metrics`)).text();
    const outputs = await Promise.all(
      [
        ['messages', 'show', poisonId],
        ['clients', 'show', client.clientId],
        ['status', '--json'],
        ['secrets', 'verify'],
        ['site', 'dump'],
      ].map(async (args) => {
        const { stdout, stderr } = await engine.command(args);
        return [`mpe ${args.join(' ')}`, Buffer.from(stdout + stderr)] as const;
      }),
    );
    contents = new Map<string, Uint8Array>([
      ...readAll([join(engine.folder, 'redis'), engine.logs]),
      ...[...readAll([engine.home])].filter(([name]) => name.includes('site.db')),
      ['metrics', Buffer.from(metrics)],
      ...outputs,
    ]);
    expect(hits(spellingsOfPassword(canary))).toEqual([]);
    expect(hits(new Map([['bytes', ownerAuth], ...spellingsOfText(hex(ownerAuth))]))).toEqual([]);
  });

  it('and the same search finds what is there', () => {
    const id = client.clientId;
    const control = hits(new Map([...spellingsOfText(id), ['bytes', guidToBytes(id)]]));
    const found = (part: string): boolean => control.some(({ where }) => where.includes(part));
    expect(['appendonly', 'worker-1.log', 'site.db', 'clients show'].filter((part) => !found(part))).toEqual(
      [],
    );
    expect(hits(new Map([['text', Buffer.from('mpe_build_info')]])).map((hit) => hit.where)).toContain(
      'metrics',
    );
    const planted = new Map([['planted', Buffer.from(`x${canary}y`)]]);
    expect(searchIn(planted, spellingsOfPassword(canary))).not.toEqual([]);
  });
});
