import { describe, expect, it } from 'vitest';
import type { AccountRow, SessionRow } from '../../../src/store/people-store.js';
import type { SiteStore } from '../../../src/store/site-store.js';
import type { MakeDatabase } from '../conformance.js';
import { sha256, siteSeed, T0 } from '../world.js';

const ACCOUNT: AccountRow = {
  ...{ name: 'CORP\\Änne', roles: ['operator'], passwordHash: 'scrypt$1,1,1$a$b', disabled: false },
  ...{ revision: 1, createdAtMs: T0, changedAtMs: T0, lastSignInAtMs: null },
};

const session = (text: string, change: Partial<SessionRow> = {}): SessionRow => ({
  ...{ tokenHash: sha256(text), personName: 'CORP\\Änne', roles: ['operator'], signIn: 'local' },
  ...{ portal: 'helpdesk', accountRevision: 1, noticeAccepted: false },
  ...{ createdAtMs: T0, lastSeenAtMs: T0, endsAtMs: T0 + 1000 },
  ...change,
});

/** Accounts, sessions, refused sign-ins, break-glass. */
export function people(make: MakeDatabase): void {
  const fresh = async (): Promise<SiteStore> => {
    const store = await (await make()).open();
    await store.createSite(siteSeed());
    return store;
  };

  describe('people', () => {
    it('keeps accounts by their name without case, and counts their changes', async () => {
      const store = await fresh();
      expect(await store.people.addAccount(ACCOUNT)).toBe(true);
      expect(await store.people.addAccount({ ...ACCOUNT, name: 'corp\\äNNE' })).toBe(false);
      expect(await store.people.findAccount('corp\\ÄNNE')).toEqual(ACCOUNT);
      expect(await store.people.findAccount('corp\\other')).toBeNull();
      expect(await store.people.changeAccount('corp\\änne', { disabled: true }, T0 + 1)).toBe(true);
      expect(await store.people.changeAccount('CORP\\Änne', { roles: ['auditor'] }, T0 + 2)).toBe(true);
      expect(await store.people.changeAccount('nobody', { disabled: true }, T0)).toBe(false);
      await store.people.noteSignIn('CORP\\Änne', T0 + 3);
      const changed = { ...ACCOUNT, roles: ['auditor'], disabled: true, revision: 3, changedAtMs: T0 + 2 };
      expect(await store.people.listAccounts()).toEqual([{ ...changed, lastSignInAtMs: T0 + 3 }]);
      await store.close();
    });

    it('finds a session with what its account is now, touches it forwards, ends it', async () => {
      const store = await fresh();
      await store.people.addAccount(ACCOUNT);
      await store.people.addSession(session('a'));
      await store.people.addSession(
        session('b', { signIn: 'oidc', accountRevision: null, endsAtMs: T0 + 9000 }),
      );
      await store.people.changeAccount(ACCOUNT.name, { roles: ['auditor'] }, T0);
      expect(await store.people.findSession(sha256('a'))).toEqual({
        session: session('a'),
        account: { roles: ['auditor'], disabled: false, revision: 2 },
        armedUntilMs: null,
      });
      // Whoever the provider signed in is nobody's local account, whatever the name.
      expect((await store.people.findSession(sha256('b')))?.account).toBeNull();
      await store.people.touchSession(sha256('a'), T0 + 50);
      await store.people.touchSession(sha256('a'), T0 + 20);
      await store.people.acceptNotice(sha256('a'));
      expect((await store.people.findSession(sha256('a')))?.session).toEqual(
        session('a', { lastSeenAtMs: T0 + 50, noticeAccepted: true }),
      );
      await store.people.pruneSessions(T0 + 1001);
      expect(await store.people.findSession(sha256('a'))).toBeNull();
      await store.people.endSessionsOf('corp\\ÄNNE');
      expect(await store.people.findSession(sha256('b'))).toBeNull();
      await store.people.addSession(session('c'));
      await store.people.endSession(sha256('c'));
      expect(await store.people.findSession(sha256('c'))).toBeNull();
      await store.close();
    });

    it('counts refused sign-ins one by one, also those at once, and forgets them', async () => {
      const store = await fresh();
      const both = ['account:a', 'address:1'];
      await Promise.all(Array.from({ length: 5 }, () => store.people.countFailures(both, T0, 1000)));
      const counted = [...(await store.people.readFailures([...both, 'account:b']))];
      expect(counted.map(({ subject }) => subject).sort()).toEqual(both);
      // A rival's first row may make one count twice; none is ever lost.
      for (const { failures } of counted) expect(failures).toBeGreaterThanOrEqual(5);
      await store.people.lockUntil('account:a', T0 + 500);
      await store.people.lockUntil('account:a', T0 + 100);
      expect((await store.people.readFailures(['account:a']))[0]?.lockedUntilMs).toBe(T0 + 500);
      const [anew] = await store.people.countFailures(['account:a'], T0 + 1001, 1000);
      expect(anew?.failures).toBe(1);
      await store.people.clearFailures(['account:a']);
      await store.people.pruneFailures(T0 + 1);
      expect(await store.people.readFailures(both)).toEqual([]);
      await store.close();
    });

    it('sets break-glass anew, arms it, and takes each time step once, of two at once too', async () => {
      const store = await fresh();
      expect(await store.people.readBreakGlass()).toBeNull();
      expect(await store.people.armBreakGlass(T0, 'x')).toBe(false);
      await store.people.setBreakGlass({ passwordHash: 'h', sealedTotp: 's', setAtMs: T0 });
      expect(await store.people.armBreakGlass(T0 + 5, 'root')).toBe(true);
      const used = await Promise.all([7, 7, 7].map((step) => store.people.useBreakGlassStep(step)));
      expect(used.filter((won) => won)).toHaveLength(1);
      expect(await store.people.useBreakGlassStep(6)).toBe(false);
      expect(await store.people.useBreakGlassStep(8)).toBe(true);
      expect(await store.people.readBreakGlass()).toEqual({
        ...{
          passwordHash: 'h',
          sealedTotp: 's',
          lastStep: 8,
          armedUntilMs: T0 + 5,
          armedBy: 'root',
          setAtMs: T0,
        },
      });
      await store.people.setBreakGlass({ passwordHash: 'h2', sealedTotp: 's2', setAtMs: T0 + 9 });
      expect(await store.people.readBreakGlass()).toMatchObject({
        lastStep: 0,
        armedUntilMs: null,
        armedBy: '',
      });
      await store.close();
    });
  });
}
