import { beforeAll, expect, test } from 'vitest';
import fc from 'fast-check';
import { exampleMessage, exampleReply } from '../../scripts/vectors/payloads.js';
import * as use from '../../scripts/vectors/inputs.js';
import { applyReply } from '../../src/client/apply-reply.js';
import { backoffDelay, DEFAULT_BACKOFF } from '../../src/client/backoff.js';
import { payloadDigest } from '../../src/client/compose.js';
import { encodeState, decodeState, type ClientState, type StoredMessage } from '../../src/client/state.js';
import { verifyReply } from '../../src/client/verify-reply.js';
import { generatePrivateKey, sealReply } from '../../src/jose/index.js';
import { encodeClientMessage } from '../../src/protocol/encode-client-message.js';
import type { ReplyStatement } from '../../src/protocol/client-message.js';
import { guidToBytes, newGuid } from '../../src/protocol/guid.js';
import type { PrivateJwk } from '../../src/protocol/jwk.js';
import { encodeReplyStatement } from '../../src/protocol/reply-statement.js';
import { DISPOSITIONS, RETRIES } from '../../src/protocol/vocabulary.js';

let key: PrivateJwk;
beforeAll(async () => {
  key = await generatePrivateKey('ES256');
});

const message = (): StoredMessage => ({
  messageId: use.MESSAGE,
  sequence: '1',
  bodyType: 'ESCROW_RECOVERY_KEYS',
  payload: exampleMessage().toString('base64'),
  createdAtMs: use.CREATED_MS,
  lastSaid: '',
});

function state(change: Partial<ClientState> = {}): ClientState {
  return {
    ...{ format: 1, url: 'https://localhost', siteGuid: use.SITE, rootThumbprint: key.kid },
    ...{ siteDocument: '', siteDocumentVersion: 1, gatewayCa: '', clientId: use.CLIENT },
    key: { kty: 'EC', crv: 'P-256', kid: key.kid, alg: 'ES256', x: key.x!, y: key.y!, d: key.d },
    ...{ registered: true, registrationRequest: null, renewal: null, epoch: 1, nextSequence: '2' },
    ...{
      messages: [message()],
      held: [],
      heldTpmOwnerAuth: null,
      safe: {},
      commands: [],
      rotating: [],
      commandsAtMs: 0,
      serverTimeMs: 0,
    },
    ...{ registerAnew: false, policy: null, policyAtMs: 0, settled: [] },
    ...change,
  };
}

const committed: ReplyStatement = {
  ...exampleReply(),
  disposition: 'COMMITTED',
  reason: 'NONE',
  retry: 'NONE',
  commands: [],
};

const verified = (statement: ReplyStatement, replyKey = use.REPLY_KEY) =>
  sealReply(encodeReplyStatement(statement), replyKey, use.MESSAGE).then((token) =>
    verifyReply(token, message(), state()),
  );

test('a reply to exactly this message verifies', async () => {
  expect((await verified(committed)).disposition).toBe('COMMITTED');
});

test.each([
  ['site', { siteGuid: newGuid() }],
  ['client', { clientId: newGuid() }],
  ['message', { messageId: newGuid() }],
  ['payload', { payloadDigest: payloadDigest(Buffer.from('another payload')) }],
])('a reply under the right key for another %s is refused', async (_what, change) => {
  await expect(verified({ ...committed, ...change })).rejects.toMatchObject({ code: 'NOT_AUTHENTIC' });
});

test('any single bit of a sealed reply that flips makes it refused', async () => {
  const token = await sealReply(encodeReplyStatement(committed), use.REPLY_KEY, use.MESSAGE);
  await fc.assert(
    fc.asyncProperty(fc.nat(token.length - 1), fc.nat(5), async (at, bit) => {
      const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
      const old = alphabet.indexOf(token[at]!);
      const flipped = old < 0 ? 'A' : alphabet[old ^ (1 << bit)]!;
      const mutant = token.slice(0, at) + flipped + token.slice(at + 1);
      await expect(verifyReply(mutant, message(), state())).rejects.toMatchObject({ code: 'NOT_AUTHENTIC' });
    }),
    { numRuns: 200 },
  );
});

test('a message ends by exactly these dispositions and retries, and is kept by all others', () => {
  const ends = DISPOSITIONS.flatMap((disposition) =>
    RETRIES.filter((retry) => {
      const now = state();
      const { kind } = applyReply(now, now.messages[0]!, { ...committed, disposition, retry });
      expect(now.messages.length).toBe(kind === 'settled' ? 0 : 1);
      return kind === 'settled';
    }).map((retry) => `${disposition} ${retry}`),
  );
  const always = ['COMMITTED', 'ALREADY_COMMITTED', 'PARTIAL'];
  expect(ends).toEqual([
    ...always.flatMap((disposition) => RETRIES.map((retry) => `${disposition} ${retry}`)),
    'REJECTED NEVER',
    'REJECTED NEW_MESSAGE',
  ]);
});

test('a key ID is safe only where the reply lists it as committed in an accepted volume', () => {
  const now = state();
  const [volume] = committed.volumes;
  applyReply(now, now.messages[0]!, { ...committed, volumes: [{ ...volume!, status: 'REJECTED' }] });
  expect(now.safe).toEqual({});
  expect(now.held.map((one) => one.keyId)).toEqual([use.KEY]);

  const other = state();
  applyReply(other, other.messages[0]!, committed);
  expect(Object.keys(other.safe)).toEqual([`${use.VOLUME}/${use.KEY}`]);
  expect(other.held).toEqual([]);
  expect(encodeState(other)).not.toContain(Buffer.from(use.PASSWORD).toString('base64').slice(4, 40));
});

test('a COMMITTED that lists no key makes none safe and keeps the secret', () => {
  const now = state();
  applyReply(now, now.messages[0]!, { ...committed, volumes: [] });
  expect(now.safe).toEqual({});
  expect(now.held.map((one) => one.recoveryPassword)).toEqual([use.PASSWORD]);
});

test('commands: the newest reply replaces, an older one changes nothing, ESCROW takes safety back', () => {
  const now = state({ safe: { [`${use.VOLUME}/${use.OLD_KEY}`]: 1 } });
  const withCommands = { ...exampleReply(), disposition: 'QUARANTINED' as const };
  applyReply(now, now.messages[0]!, withCommands);
  expect(now.commands.map((one) => one.type)).toEqual(['ROTATE_KEY', 'ESCROW']);
  expect(now.safe[`${use.VOLUME}/${use.OLD_KEY}`]).toBeUndefined();

  applyReply(now, now.messages[0]!, { ...withCommands, commands: [], serverTimeMs: use.SERVER_MS - 1 });
  expect(now.commands).toHaveLength(2);
  applyReply(now, now.messages[0]!, { ...withCommands, commands: [], serverTimeMs: use.SERVER_MS + 1 });
  expect(now.commands).toEqual([]);
  expect(decodeState(encodeState(now))).toEqual(now);
});

test('a late reply does not make a key safe that the site has asked for since, and its secret stays', () => {
  const asks = { type: 'ESCROW' as const, volumeId: use.VOLUME, keyIds: [use.KEY] };
  const now = state({ commands: [asks], commandsAtMs: use.SERVER_MS + 1 });
  applyReply(now, now.messages[0]!, committed);
  expect(now.safe).toEqual({});
  expect(now.held.map((one) => one.recoveryPassword)).toEqual([use.PASSWORD]);

  const again = state();
  applyReply(again, again.messages[0]!, { ...committed, disposition: 'ALREADY_COMMITTED', commands: [asks] });
  expect(again.safe).toEqual({});
  expect(again.held).toHaveLength(1);
});

test('an epoch that an unsigned registration reply named gives way to the verified one', () => {
  const now = state({ epoch: 4_000_000_000 });
  applyReply(now, now.messages[0]!, committed);
  expect(now.epoch).toBe(committed.epoch);
  expect(now.nextSequence).toBe(String(committed.highestSequence + 1n));
});

test('a TPM owner authorization that is refused stays held until one is committed', () => {
  const ownerAuth = Buffer.alloc(20, 7);
  const tpm = (): StoredMessage => ({
    ...message(),
    bodyType: 'ESCROW_TPM_OWNER_AUTH',
    payload: encodeClientMessage({
      ...{ siteGuid: use.SITE, messageId: use.MESSAGE, clientId: use.CLIENT, sequence: 1n },
      ...{ bodyType: 'ESCROW_TPM_OWNER_AUTH', replyKey: use.REPLY_KEY, createdAtMs: 0, clientVersion: '' },
      body: { type: 'ESCROW_TPM_OWNER_AUTH', ownerAuth },
    }).toString('base64'),
  });
  const reply = { ...committed, volumes: [], reason: 'ALL_ITEMS_REJECTED' as const };
  const refused = { status: 'REJECTED' as const, reason: 'POLICY_REFUSED' as const };
  const now = state({ messages: [tpm()] });
  applyReply(now, now.messages[0]!, {
    ...{ ...reply, disposition: 'REJECTED', retry: 'NEW_MESSAGE', tpmOwnerAuth: refused },
  });
  expect(now.messages).toEqual([]);
  expect(now.heldTpmOwnerAuth).toMatchObject({
    ownerAuth: ownerAuth.toString('base64'),
    reason: 'POLICY_REFUSED',
  });
  now.messages = [tpm()];
  applyReply(now, now.messages[0]!, {
    ...{ ...reply, tpmOwnerAuth: { status: 'COMMITTED', reason: 'NONE' } },
  });
  expect(now.heldTpmOwnerAuth).toBeNull();
});

test('the sequence rises above the highest that the site has, and never falls', () => {
  const now = state({ nextSequence: '5' });
  applyReply(now, now.messages[0]!, { ...committed, disposition: 'QUARANTINED', highestSequence: 2n });
  expect(now.nextSequence).toBe('5');
  applyReply(now, now.messages[0]!, committed);
  expect(now.nextSequence).toBe('9007199254740994');
});

test('a secret that is held is let go when the same key ID is committed later', () => {
  const now = state();
  const [volume] = committed.volumes;
  const refused = {
    ...volume!,
    keys: [
      {
        keyId: guidToBytes(use.KEY),
        status: 'REJECTED' as const,
        reason: 'VERSION_GATE' as const,
        badGroup: 0,
      },
    ],
  };
  applyReply(now, now.messages[0]!, { ...committed, disposition: 'PARTIAL', volumes: [refused] });
  expect(now.held).toMatchObject([{ keyId: use.KEY, reason: 'VERSION_GATE' }]);
  now.messages = [message()];
  applyReply(now, now.messages[0]!, committed);
  expect(now.held).toEqual([]);
});

test('a back-off grows to its cap, spreads, and never undercuts what the server asked for', () => {
  fc.assert(
    fc.property(
      fc.nat(100),
      fc.nat(3_600_000),
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      (n, floor, random) => {
        const delay = backoffDelay(DEFAULT_BACKOFF, n, floor, random);
        expect(delay).toBeGreaterThanOrEqual(floor);
        expect(delay).toBeLessThanOrEqual(floor + DEFAULT_BACKOFF.capMs);
      },
    ),
  );
  expect(backoffDelay(DEFAULT_BACKOFF, 0, 0, 0.5)).toBeLessThanOrEqual(1000);
  expect(backoffDelay(DEFAULT_BACKOFF, 50, 0, 0.999)).toBeGreaterThan(250_000);
});
