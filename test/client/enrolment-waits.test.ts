import { createHash, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MemoryStateStore, MpeClient, type ClientEvent, type EnrolOptions } from '../../src/client/index.js';
import { certificateKeyOf, certificateSubject } from '../../src/jose/index.js';
import { formatEnrolmentToken, parseEnrolmentToken } from '../../src/protocol/enrolment-token.js';
import { newGuid, type Guid } from '../../src/protocol/guid.js';
import { TestCa, type TestCertificate } from '../support/pki.js';
import { tempFolder } from '../support/temp.js';
import { LiveSite } from './live-site.js';

// An enrolment that has no answer yet, and what it was made with changes meanwhile: it comes to an end in each
// case, and the same folder, client id and key go on with what is good.

const DAY_MS = 86_400_000;

let site: LiveSite;
let ca: TestCa;
const events: ClientEvent[] = [];

beforeAll(async () => {
  const folder = tempFolder('mpe-enrolment-waits-');
  ca = await TestCa.create('CN=Client Root');
  writeFileSync(join(folder, 'ca.pem'), ca.pem);
  site = await LiveSite.start({
    MPE_GATEWAY_AUTH: 'site-token,client-certificate',
    MPE_GATEWAY_CLIENT_CA: join(folder, 'ca.pem'),
  });
});
afterAll(() => site.stop());

const enrol = (more: Partial<EnrolOptions>): Promise<MpeClient> =>
  MpeClient.enrol({
    ...{ url: site.url, enrolmentToken: site.enrolmentToken, state: new MemoryStateStore() },
    ...{
      waitSeconds: 2,
      backoff: { baseMs: 100, capMs: 400 },
      onEvent: (event: ClientEvent) => events.push(event),
    },
    ...more,
  });

const shown = ({ pem, keyPem }: TestCertificate) => ({ certificate: { cert: pem, key: keyPem } });

/** A token of its own, good for one client. */
async function newToken(expiresAtMs: number): Promise<{ readonly tokenId: Guid; readonly text: string }> {
  const { siteGuid, rootThumbprint } = parseEnrolmentToken(site.enrolmentToken);
  const secret = randomBytes(32);
  const tokenId = newGuid();
  await site.store.insertEnrolmentToken({
    ...{ tokenId, secretHash: createHash('sha256').update(secret).digest(), usesAllowed: 1, usesLeft: 1 },
    ...{ expiresAtMs, tag: '', revokedAtMs: null, createdAtMs: Date.now() },
  });
  return { tokenId, text: formatEnrolmentToken({ siteGuid, rootThumbprint, secret }) };
}

/** The thumbprint of the key in a client's state. */
async function kidIn(state: MemoryStateStore): Promise<string> {
  return (JSON.parse((await state.read()) ?? '') as { key: { kid: string } }).key.kid;
}

const usesLeft = async (id: Guid): Promise<number | undefined> =>
  (await site.store.readEnrolmentTokens()).find(({ tokenId }) => tokenId === id)?.usesLeft;

describe('an enrolment that waits', () => {
  test('under a certificate that the site refuses registers with the one that came in its place', async () => {
    const clientId = newGuid();
    const state = new MemoryStateStore();
    const other = await TestCa.create('CN=Another Root');
    const former = shown(await other.issue({ cn: clientId }));
    await expect(enrol({ ...former, state, clientId, registrationTimeoutMs: 1 })).rejects.toThrow(
      /not registered yet.*CERTIFICATE_REFUSED/,
    );

    const renewed = await ca.issue({ cn: clientId });
    const client = await enrol({ ...shown(renewed), state });
    expect(client.clientId).toBe(clientId);
    await client.close();
    const { keys } = (await site.store.findClient(clientId))!;
    expect(keys.map(({ epoch, channel }) => [epoch, channel?.subject])).toEqual([
      [1, certificateSubject(certificateKeyOf(renewed.pem))],
    ]);
  });

  test.each(['revoked', 'expired'] as const)(
    'by a token that is %s meanwhile ends, as often as it is tried; a new token goes on with the same key',
    async (how) => {
      const expiresAtMs = Date.now() + (how === 'revoked' ? DAY_MS : 10);
      const former = await newToken(expiresAtMs);
      const state = new MemoryStateStore();
      await site.stopWorker();
      await expect(
        enrol({ enrolmentToken: former.text, state, registrationTimeoutMs: 1 }),
      ).rejects.toMatchObject({ code: 'UNREACHABLE' });
      if (how === 'revoked') await site.store.revokeEnrolmentToken(former.tokenId, Date.now());
      else await sleep(Math.max(0, expiresAtMs - Date.now()) + 1);
      await site.startWorker();

      for (let time = 1; time <= 2; time += 1) {
        await expect(enrol({ enrolmentToken: former.text, state })).rejects.toMatchObject({
          code: 'REGISTRATION_REFUSED',
          facts: { reason: 'TOKEN_REFUSED' },
        });
      }
      const kid = await kidIn(state);
      events.length = 0;
      const { text, tokenId } = await newToken(Date.now() + DAY_MS);
      const client = await enrol({ enrolmentToken: text, state });
      expect(events.map(({ event }) => event)).toContain('client.registered');
      expect(await site.store.findClient(client.clientId)).toMatchObject({
        ...{ state: 'ACTIVE', epoch: 1, keys: [{ kid }] },
      });
      await client.close();
      expect([await usesLeft(former.tokenId), await usesLeft(tokenId)]).toEqual([1, 0]);
    },
  );
});
