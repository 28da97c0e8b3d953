import { beforeAll, expect, test } from 'vitest';
import { newGuid } from '../../src/protocol/guid.js';
import { openStore } from '../../src/store/open-store.js';
import { Home } from './mpe.js';

const made = new Home();

beforeAll(async () => {
  await made.init('--test-site');
});

interface Shown {
  readonly problems: readonly string[];
  readonly database: { readonly pending: number; readonly expiring: readonly { readonly thing: string }[] };
}

test('status counts the registrations that wait for an operator', async () => {
  const home = made.copy();
  const store = await openStore({ kind: 'sqlite', path: home.database });
  for (const kid of ['kid-a', 'kid-b', 'kid-c'])
    await store.commitRegistration({
      ...{ clientId: newGuid(), registrationId: newGuid(), kid, publicJwk: '{"kty":"EC"}' },
      ...{ machineName: 'PC', domain: 'CORP', hardwareId: '', joinType: 'DOMAIN', atMs: Date.now() },
      ...{ enrolmentTokenHash: null, provenByKid: null },
      admission: { channels: [], channelRenews: false, approval: true, pendingMax: 10 },
    });
  await store.close();
  const { stdout } = await home.mpe(['status']);
  expect(stdout).toMatch(/pending 3 /);
  const json = JSON.parse((await home.mpe(['status', '--json'])).stdout) as Shown;
  expect(json.database.pending).toBe(3);
});

test('status says of document, certificate and TLS certificate when they end, and warns', async () => {
  const home = made.copy();
  const look = async (offset: string): Promise<Shown> =>
    JSON.parse((await home.mpe(['status', '--json'], { MPE_TEST_CLOCK_OFFSET: offset })).stdout) as Shown;
  const now = await look('0');
  expect(now.database.expiring.map(({ thing }) => thing)).toEqual([
    'site_document',
    'certificate',
    'gateway_tls',
  ]);
  expect(now.problems.join('\n')).not.toContain('expire');
  const ended = (await look('+50y')).problems.join('\n');
  expect(ended).toContain('the site document has expired');
  expect(ended).toContain('the BitLocker management encryption certificate has expired');
  expect(ended).toContain("the gateway's TLS certificate has expired");
  expect((await home.mpe(['status'])).stdout).toMatch(
    /expires +site document \d{4}-\d\d-\d\d {2}certificate \d{4}-\d\d-\d\d {2}gateway TLS \d{4}-\d\d-\d\d/,
  );
});
