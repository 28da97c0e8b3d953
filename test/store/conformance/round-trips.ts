import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { LIMITS } from '../../../src/protocol/vocabulary.js';
import { MIN_TIME_MS } from '../../../src/protocol/wire.js';
import type { RegistrationWrite, SiteStore } from '../../../src/store/site-store.js';
import type { MakeDatabase, TestDatabase } from '../conformance.js';
import { HARD_TEXTS, HARD_TIMES, longest } from '../hard-values.js';
import { readTimes, writeTimes } from '../times.js';
import { candidate, DATA_KEY, id, outcomeOf, register, siteSeed, T0, TOKEN_HASH } from '../world.js';
import { escrow, send } from './commits.js';
import { hashText } from './readers.js';

const TIMES_PROCESS = join(import.meta.dirname, '..', 'times-process.ts');

const registration = (n: number, change: Partial<RegistrationWrite>): RegistrationWrite => ({
  clientId: id('client', n),
  registrationId: id('misc', 3000 + n),
  kid: `kid-of-${n}`,
  publicJwk: '{}',
  enrolmentTokenHash: TOKEN_HASH,
  provenByKid: null,
  machineName: '',
  domain: '',
  hardwareId: '',
  joinType: 'DOMAIN',
  atMs: T0,
  ...change,
});

/** A time as a row of the test's own SQL shows it: SQLite has milliseconds, others a text. */
const shownTime = (value: unknown): string =>
  typeof value === 'number'
    ? new Date(value).toISOString().replace('T', ' ').replace('Z', '')
    : String(value);

/** What goes in comes out, value by value: texts, bytes, times, numbers. */
export function roundTrips(make: MakeDatabase): void {
  const fresh = async (): Promise<{ store: SiteStore; database: TestDatabase }> => {
    const database = await make();
    const store = await database.open();
    await store.createSite(siteSeed());
    return { store, database };
  };

  describe('round trips', () => {
    it('texts of a client, its tag and its site', async () => {
      const { store } = await fresh();
      const texts = [...HARD_TEXTS, ...longest(LIMITS.nameChars)];
      for (const [n, text] of texts.entries()) {
        const hash = Buffer.alloc(32, n + 1);
        await store.insertEnrolmentToken({
          tokenId: id('misc', 4000 + n),
          secretHash: hash,
          usesAllowed: 1,
          usesLeft: 1,
          expiresAtMs: T0 + 1000,
          tag: text,
          revokedAtMs: null,
          createdAtMs: T0 + 1 + n,
        });
        const write = registration(n + 1, {
          enrolmentTokenHash: hash,
          publicJwk: JSON.stringify({ note: text }),
          machineName: text,
          domain: text,
          hardwareId: text,
        });
        expect(await store.commitRegistration(write)).toMatchObject({ status: 'REGISTERED' });
      }
      const clients = await Promise.all(texts.map((_, n) => store.findClient(id('client', n + 1))));
      expect(clients.map((client) => client?.machineName)).toEqual(texts);
      expect(clients.map((client) => client?.domain)).toEqual(texts);
      expect(clients.map((client) => client?.hardwareId)).toEqual(texts);
      expect(clients.map((client) => client?.tag)).toEqual(texts);
      expect(clients.map((client) => client?.keys[0]?.publicJwk)).toEqual(
        texts.map((text) => JSON.stringify({ note: text })),
      );
      const tags = (await store.readEnrolmentTokens()).map((token) => token.tag);
      expect(tags).toEqual([...[...texts].reverse(), 'first']);
      await store.close();
    });

    it.each(HARD_TEXTS.filter((_, n) => n % 5 === 0))('a site and a policy named %j', async (text) => {
      const store = await (await make()).open();
      const seed = siteSeed();
      await store.createSite({
        ...seed,
        site: { ...seed.site, name: text },
        policy: { ...seed.policy, name: text, targetTag: text },
      });
      expect((await store.readSite())?.name).toBe(text);
      expect(await store.readPolicies()).toMatchObject([{ name: text, targetTag: text }]);
      await store.close();
    });

    it('texts of quarantine, dead letters, data keys, operators and damage', async () => {
      const { store, database } = await fresh();
      await register(store, 1);
      await send(store, [escrow(1)]);
      const [secret] = await store.secretsPage(null, 1);
      const texts = [...HARD_TEXTS, 'x'.repeat(5000), '🖥'.repeat(3000)];
      for (const [n, text] of texts.entries()) {
        const dead = {
          clientId: id('client', 1),
          messageId: id('message', 100 + n),
          bodyType: 1,
          cause: 'HANDLER_FAILED',
          detail: text,
          sealed: 'a.b.c.d.e',
          release: '0.1.0',
          resends: 0,
          deadAtMs: T0 + n,
          redrivenAtMs: null,
        };
        await store.addDeadLetter(dead, 1000);
        expect(await store.findDeadLetter(dead.clientId, dead.messageId)).toEqual(dead);
      }
      const short = texts.filter((text) => text.length <= 200);
      for (const [n, text] of short.entries()) {
        await store.probeWrite(text);
        await store.setClientState(id('client', 1), n % 2 === 0 ? 'BLOCKED' : 'ACTIVE', text);
        await store.insertDataKey({ ...DATA_KEY, dataKeyId: id('misc', 5000 + n), createdBy: text });
      }
      const doneBy = await database.sql('SELECT DoneBy FROM MPE_MachineEvents ORDER BY EventId');
      expect(doneBy.map((row) => row['DoneBy'])).toEqual(short);
      expect((await store.readDataKeys()).map((key) => key.createdBy)).toEqual(short);
      await store.markDamaged(secret!.identity.secretId, 1, texts.join('\n'), T0);
      expect(await database.sql('SELECT Reason FROM MPE_SecretDamage')).toEqual([
        { Reason: texts.join('\n') },
      ]);
      await store.close();
    });

    it('texts of reports, check-ins, outcomes and rotation results', async () => {
      const { store, database } = await fresh();
      await register(store, 1);
      const texts = [...HARD_TEXTS, ...longest(LIMITS.nameChars)];
      const column = async (sql: string): Promise<unknown[]> =>
        (await database.sql(sql)).map((row) => Object.values(row)[0]);
      for (const [n, text] of texts.entries()) {
        const users = [
          { domain: text, name: `${text.slice(0, 200)}1` },
          { domain: 'D', name: text },
        ];
        const spec = {
          client: 1,
          message: n + 1,
          sequence: n + 1,
          state: {
            machineName: text,
            domain: text,
            users,
            lastError: { code: 2n ** 63n - 1n, text, atMs: T0 },
          },
        };
        expect(await send(store, [spec])).toEqual(['COMMITTED']);
        expect(await column('SELECT MachineName FROM MPE_ClientStates')).toEqual([text]);
        expect(await column('SELECT Domain FROM MPE_ClientStates')).toEqual([text]);
        expect(await column('SELECT LastErrorText FROM MPE_ClientStates')).toEqual([text]);
        expect((await column('SELECT UserName FROM RecoveryAndHardwareCore_Machines_Users')).sort()).toEqual(
          users.map((user) => user.name).sort(),
        );
      }
      const labels = [...HARD_TEXTS, ...longest(LIMITS.driveLabelChars)];
      for (const [n, label] of labels.entries()) {
        const message = candidate(
          escrow(500 + n, { volumes: [{ volume: 1, protectors: [{ key: 1, password: 'one' }] }] }),
        );
        const outcome = {
          ...outcomeOf(message, 'COMMITTED', T0),
          stages: [{ stage: 'commit' as const, atMs: T0, tookMs: 1.5, by: label, note: label }],
          decidedBy: label,
        };
        const plan = {
          candidate: {
            ...message,
            volumes: message.volumes.map((volume) => ({ ...volume, driveLabel: label })),
          },
          outcome,
          outcomeMode: 'insert' as const,
          secrets:
            n === 0
              ? [
                  {
                    identity: message.secrets[0]!,
                    content: { form: 'PLAIN' as const, bytes: Buffer.from('1') },
                  },
                ]
              : [],
          effects: true,
          atMs: T0,
        };
        expect(await store.apply([plan])).toMatchObject([{ kind: 'applied' }]);
        expect(await column('SELECT DriveLabel FROM MPE_Reports')).toEqual([label]);
        expect(await store.findOutcome(message.clientId, message.messageId)).toEqual(outcome);
      }
      const request = {
        requestId: id('misc', 60),
        volumeId: id('volume', 1),
        keyId: id('key', 1),
        deadlineMs: T0,
      };
      await store.openRotationRequest(request, T0);
      for (const [n, text] of texts.entries()) {
        const rotation = {
          requestId: request.requestId,
          outcome: 'FAILED' as const,
          errorCode: -(2n ** 63n),
          errorText: text,
          newKeyId: null,
        };
        await send(store, [{ client: 1, message: 900 + n, sequence: 900 + n, rotation }]);
      }
      const told = await column('SELECT ErrorText FROM MPE_RotationReports');
      expect([...told].sort()).toEqual([...texts].sort());
      await store.close();
    });

    it('U+0000 comes back as it was or is refused, and is never cut', async () => {
      const { store } = await fresh();
      const machineName = 'before\u0000after';
      try {
        await store.commitRegistration(registration(1, { machineName }));
        expect((await store.findClient(id('client', 1)))?.machineName).toBe(machineName);
      } catch (error) {
        expect(error).toMatchObject({ code: expect.stringMatching(/^STORE_/) });
        expect(await store.findClient(id('client', 1))).toBeNull();
        expect((await store.readEnrolmentTokens())[0]?.usesLeft).toBe(1000);
      }
      await store.close();
    });

    it('users and keys that differ by case, accents or a trailing blank are two', async () => {
      const { store, database } = await fresh();
      const names = ['user', 'USER', 'user ', 'üser', 'uſer'];
      await store.commitRegistration(registration(1, { kid: 'AbC' }));
      await store.commitRegistration(registration(2, { kid: 'aBc' }));
      expect(await store.findKeyOwners('AbC')).toEqual([id('client', 1)]);
      expect(await store.findKeyOwners('aBc')).toEqual([id('client', 2)]);
      expect(await store.findKeyOwners('abc')).toEqual([]);
      const users = names.map((name) => ({ domain: 'D', name }));
      await send(store, [{ client: 1, message: 1, sequence: 1, state: { users: [...users, ...users] } }]);
      const rows = await database.sql('SELECT UserName FROM RecoveryAndHardwareCore_Machines_Users');
      expect(rows.map((row) => row['UserName']).sort()).toEqual([...names].sort());
      await store.close();
    });

    it('bytes of every value and of sizes around the limits of types', async () => {
      const { store } = await fresh();
      await register(store, 1);
      await store.insertDataKey(DATA_KEY);
      const sizes = [1, 32, 256, 3999, 4000, 4001, 7999, 8000, 8001, LIMITS.keyPackageBytes, 100_000];
      const contents = new Map<string, Buffer>();
      for (const [n, size] of sizes.entries()) {
        const message = candidate(escrow(n + 1));
        const [identity] = message.secrets;
        const content = Buffer.from(Array.from({ length: size }, (_, i) => (i * 7 + n) % 256));
        contents.set(Buffer.from(identity!.secretId).toString('hex'), content);
        const plan = {
          candidate: message,
          outcome: outcomeOf(message, 'COMMITTED', T0),
          outcomeMode: 'insert' as const,
          secrets: [
            {
              identity: identity!,
              content: { form: 'SEALED' as const, dataKeyId: DATA_KEY.dataKeyId, bytes: content },
            },
          ],
          effects: true,
          atMs: T0,
        };
        expect(await store.apply([plan])).toEqual([{ kind: 'applied', keysWritten: 1 }]);
      }
      const stored = await store.secretsPage(null, 100);
      expect(stored).toHaveLength(sizes.length);
      for (const secret of stored) {
        const hex = Buffer.from(secret.identity.secretId).toString('hex');
        expect(Buffer.from(secret.content.bytes).equals(contents.get(hex)!), hex).toBe(true);
      }
      await store.close();
    });

    it('sequences up to 2^63-1 in outcomes, reports and states', async () => {
      const { store } = await fresh();
      await register(store, 1);
      const last = 2n ** 63n - 1n;
      const at = (message: number, sequence: bigint) => escrow(message, { sequence });
      expect(await send(store, [at(1, last - 1n), at(2, last)])).toEqual(['COMMITTED', 'COMMITTED']);
      const state = { client: 1, message: 3, sequence: last, epoch: 2, state: { machineName: 'X' } };
      expect(await send(store, [state])).toEqual(['COMMITTED']);
      expect((await store.findOutcome(id('client', 1), id('message', 2)))?.sequence).toBe(last);
      const [facts] = await store.classify([candidate(state)]);
      expect(facts?.stateRank?.sequence).toBe(last);
      expect(facts?.highestSequence).toBe(last);
      expect((await hashText(store)).find((line) => line.startsWith('reports'))).toContain(` ${last} `);
      await store.close();
    });

    it('times to the millisecond, over clock changes and to the ends of the calendar', async () => {
      const { store, database } = await fresh();
      await register(store, 1);
      await writeTimes(store, 9, HARD_TIMES);
      expect(await readTimes(store, 9, HARD_TIMES.length)).toEqual(HARD_TIMES);
      for (const [n, atMs] of HARD_TIMES.entries()) {
        const lastError = { code: 1n, text: '', atMs };
        const spec = { client: 1, message: n + 1, sequence: n + 1, state: { lastError } };
        expect(await send(store, [spec], { atMs })).toEqual(['COMMITTED']);
        const [row] = await database.sql('SELECT LastErrorAt, ReportedAt FROM MPE_ClientStates');
        expect([shownTime(row?.['LastErrorAt']), shownTime(row?.['ReportedAt'])]).toEqual([
          shownTime(atMs),
          shownTime(atMs),
        ]);
      }
      const spec = escrow(900);
      // A message is received before it is decided, and no store has a time before the year 1.
      for (const [n, atMs] of HARD_TIMES.filter((time) => time > MIN_TIME_MS + 5).entries()) {
        await send(store, [{ ...spec, message: 900 + n, sequence: 900 + n }], { atMs });
        expect(await store.findOutcome(id('client', 1), id('message', 900 + n))).toMatchObject({
          decidedAtMs: atMs,
          receivedAtMs: atMs - 5,
        });
      }
      await store.close();
    });

    it(
      'times of processes in other zones, on the night when clocks go back',
      { timeout: 120_000 },
      async () => {
        const { store, database } = await fresh();
        const zones = [
          ['Europe/Berlin', -120],
          ['Asia/Kolkata', -330],
          ['America/St_Johns', 150],
        ] as const;
        for (const [n, [zone, zoneOffset]] of zones.entries()) {
          const args = ['--import', 'tsx', TIMES_PROCESS, JSON.stringify(database.location), String(n + 1)];
          const { stdout } = await promisify(execFile)(
            process.execPath,
            [...args, JSON.stringify(HARD_TIMES)],
            { env: { ...process.env, TZ: zone } },
          );
          // What each process wrote reads the same in every later one, and here.
          const read = Array.from({ length: n + 1 }, () => HARD_TIMES);
          expect(JSON.parse(stdout)).toEqual({ zoneOffset, read });
          expect(await readTimes(store, n + 1, HARD_TIMES.length)).toEqual(HARD_TIMES);
        }
        await store.close();
      },
    );
  });
}
