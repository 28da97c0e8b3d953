import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { randomRecoveryPassword } from '../../src/client/index.js';
import { generatePrivateKey, publicPart, seal, sign } from '../../src/jose/index.js';
import type { Body } from '../../src/protocol/client-message.js';
import { encodeClientMessage } from '../../src/protocol/encode-client-message.js';
import { guidToBytes, newGuid } from '../../src/protocol/guid.js';
import { forgeJwe } from '../../src/replay/forge-jwe.js';
import { Engine } from '../support/engine.js';
import { answerOf, RawClient } from '../support/raw-client.js';
import { openSite, siteHashOf } from '../support/site-audit.js';

// What a hostile client program, or a thief of one, can send over a good channel. Each row has its
// documented answer, and none of them leaves anything in the site.
describe('hostile messages over HTTPS', () => {
  let engine: Engine;
  let client: RawClient;
  let other: RawClient;
  let before: { hash: string; counts: unknown };

  const escrow = (): Body => ({
    type: 'ESCROW_RECOVERY_KEYS',
    volumes: [
      {
        volumeId: guidToBytes(newGuid()),
        volumeType: 'OS',
        driveLabel: 'C:',
        protection: 'ON',
        protectors: [{ keyId: guidToBytes(newGuid()), recoveryPassword: randomRecoveryPassword() }],
      },
    ],
  });
  const state = async (): Promise<{ hash: string; counts: unknown }> => {
    const store = await openSite(engine.home);
    try {
      return { hash: await siteHashOf(engine.home), counts: await store.counts() };
    } finally {
      await store.close();
    }
  };
  /** Disposition and reason, or the problem's code, with the status. */
  const said = (answer: Parameters<typeof answerOf>[0]): string => {
    const { status, reply, problem } = answerOf(answer);
    if (reply === undefined) return `${status} ${problem ?? ''}`;
    return `${status} ${reply.disposition} ${reply.reason}`;
  };
  const sendSealed = async (sealed: string): Promise<string> =>
    said(await client.post(client.envelope(client.message(escrow()), sealed)));
  const jws = async (message = client.message(escrow())): Promise<string> =>
    sign(encodeClientMessage(message), client.key, 'mpe-msg+jws');
  const forged = async (forge: Parameters<typeof forgeJwe>[3]): Promise<string> => {
    const ecdh = client.site.sealingKeys.find((key) => key.alg === 'ECDH-ES+A256KW');
    return forgeJwe(await jws(), client.sealingKey, ecdh?.kid ?? '', forge);
  };

  beforeAll(async () => {
    const made = await Engine.create();
    engine = made.engine;
    client = await RawClient.enrol(engine.url, made.enrolmentToken, 'VICTIM');
    other = await RawClient.enrol(engine.url, made.enrolmentToken, 'OTHER');
    before = await state();
  });
  afterAll(async () => {
    client.close();
    other.close();
    await engine.dispose();
  });

  it.each([
    ['zip', '400 SEALED_MALFORMED'],
    ['zip-bomb', '400 SEALED_MALFORMED'],
    ['alg-rsa1-5', '400 SEALED_MALFORMED'],
    ['alg-pbes2', '400 SEALED_MALFORMED'],
    ['alg-dir', '400 SEALED_MALFORMED'],
    ['kid-missing', '400 SEALED_MALFORMED'],
    ['six-parts', '400 SEALED_MALFORMED'],
    ['crit', '400 SEALED_MALFORMED'],
    ['key-flipped', '200 REJECTED CANNOT_OPEN'],
    ['iv-flipped', '200 REJECTED CANNOT_OPEN'],
    ['ciphertext-flipped', '200 REJECTED CANNOT_OPEN'],
    ['tag-flipped', '200 REJECTED CANNOT_OPEN'],
  ] as const)('%s is answered %s', async (forge, answer) => {
    expect(await sendSealed(await forged(forge))).toBe(answer);
  });

  it("another client's signature does not open", async () => {
    const message = client.message(escrow());
    const byOther = await client.sealed(message, { signing: other.key });
    expect(said(await client.post(client.envelope(message, byOther)))).toBe('200 REJECTED CANNOT_OPEN');
  });

  it('a message of another client, sent over this channel, is refused before the queue', async () => {
    const message = other.message(escrow());
    const answer = await client.post(other.envelope(message, await other.sealed(message)));
    expect(answerOf(answer)).toEqual({ status: 403, problem: 'CLIENT_MISMATCH' });
  });

  it('a signed message taken to another site, re-sealed there, does not open', async () => {
    const message = client.message(escrow(), { siteGuid: newGuid() });
    expect(said(await client.post(client.envelope(message, await client.sealed(message))))).toBe(
      '200 REJECTED CANNOT_OPEN',
    );
  });

  it('an envelope around the signed message of another id does not open', async () => {
    const inner = client.message(escrow());
    const sealed = await seal(Buffer.from(await jws(inner)), client.sealingKey, 'mpe-env');
    expect(await sendSealed(sealed)).toBe('200 REJECTED CANNOT_OPEN');
  });

  it('a body of 1 MB is refused while it is read', async () => {
    const { status } = await client.post(randomBytes(1024 * 1024)).catch(() => ({ status: 413 }));
    expect(status).toBe(413);
  });

  it('an unknown sealing key is kept sealed, and only that is kept', async () => {
    const sealing = publicPart(await generatePrivateKey('RSA-OAEP-256', 3072));
    const message = client.message(escrow());
    const answer = await client.post(client.envelope(message, await client.sealed(message, { sealing })));
    expect(said(answer)).toBe('202 QUARANTINED SEALING_KEY_UNKNOWN');
    const after = await state();
    expect(after).toEqual({
      hash: before.hash,
      counts: { ...(before.counts as object), quarantined: 1 },
    });
  });

  it('nested protobuf is malformed and leaves an outcome, no key', async () => {
    let nested = Buffer.alloc(0);
    for (let depth = 0; depth < 2000; depth += 1)
      nested = Buffer.concat([Buffer.from([0x0a]), varint(nested.length), nested]);
    const message = client.message(escrow());
    // Field 16, the escrow body, a second time: nested beyond every schema.
    const payload = Buffer.concat([
      encodeClientMessage(message),
      Buffer.from([0x82, 0x01]),
      varint(nested.length),
      nested,
    ]);
    const answer = said(await client.post(client.envelope(message, await client.sealedBytes(payload))));
    expect(answer).toBe('200 REJECTED MALFORMED');
    expect((await state()).hash).toBe(before.hash);
  });

  it('a message id reused for another payload changes nothing, and another client may use it', async () => {
    const first = client.message(escrow());
    expect(said(await client.post(client.envelope(first, await client.sealed(first))))).toBe(
      '200 COMMITTED NONE',
    );
    const stored = await state();
    const second = client.message(escrow(), { messageId: first.messageId });
    expect(said(await client.post(client.envelope(second, await client.sealed(second))))).toBe(
      '200 REJECTED MESSAGE_ID_REUSED',
    );
    expect(await state()).toEqual(stored);
    const others = other.message(escrow(), { messageId: first.messageId });
    expect(said(await other.post(other.envelope(others, await other.sealed(others))))).toBe(
      '200 COMMITTED NONE',
    );
  });
});

function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Buffer.from([...bytes, rest]);
    bytes.push((rest % 128) | 0x80);
  }
}
