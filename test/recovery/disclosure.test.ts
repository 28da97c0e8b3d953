import { randomBytes } from 'node:crypto';
import Database from 'better-sqlite3';
import { describe, expect, test } from 'vitest';
import { MpeError } from '../../src/ops/errors.js';
import { newGuid } from '../../src/protocol/guid.js';
import { GRANTS, ROLES, type Role } from '../../src/recovery/roles.js';
import { tpmFile } from '../../src/recovery/disclosure/tpm-file.js';
import type { Disclosure, DisclosureRequest } from '../../src/recovery/disclosure/types.js';
import { checkIn, password } from '../workers/support.js';
import { ADMIN, Desk, HELPDESK, onlyKey, person, shown } from './desk.js';

const refusal = (answer: Disclosure): string => (answer.outcome === 'refused' ? answer.refusal : 'shown');

describe('a disclosure', () => {
  test('shows the password with key ID, volume, machine, time and state, behind its row, exposure and rotation', async () => {
    const desk = await Desk.open();
    const pc = await desk.machine('PC-7', 'CORP\\anna');
    const { keyId, volumeId } = await desk.escrow(pc, password(1));
    const answer = await desk.ask(keyId, { ticket: 'INC-1' });
    expect(onlyKey(answer)).toMatchObject({
      ...{
        kind: 'RECOVERY_PASSWORD',
        keyId,
        volumeId,
        volumeType: 'OS',
        driveLabel: 'C:',
        value: password(1),
      },
      ...{ state: 'CURRENT', conflicting: false, exposedAtMs: null },
      machines: [{ clientId: pc.clientId, name: 'PC-7', domain: 'CORP', current: true }],
    });
    const [row] = await desk.rows();
    expect(row).toMatchObject({
      ...{ source: 'Helpdesk', result: 'Successful', helpdeskUser: 'CORP\\admin', endUser: '' },
      ...{
        machine: 'CORP\\PC-7',
        keyType: 'Recovery Key Password',
        keyId,
        reason: 'Lost PIN',
        ticket: 'INC-1',
      },
    });
    const logged = desk.site.lines.filter((line) => line['event'] === 'audit.row');
    expect(logged).toMatchObject([{ sequence: '1', hash: Buffer.from(row!.hash).toString('hex') }]);
    const facts = await desk.store.rotation.find(onlyKey(answer).rotationRequestId!);
    expect(facts?.request).toMatchObject({
      keyId,
      volumeId,
      origin: 'DISCLOSURE',
      requestedBy: 'corp\\admin',
    });
    // Again: the same request, and it says that it was shown before.
    const again = onlyKey(await desk.ask(keyId));
    expect(again.exposedAtMs).not.toBeNull();
    expect(again.rotationRequestId).toBe(onlyKey(answer).rotationRequestId);
    expect(JSON.stringify(desk.site.lines)).not.toContain(password(1));
  });

  test('never rests on the row of an earlier request with the same id', async () => {
    const desk = await Desk.open();
    const pc = await desk.machine('PC-7');
    const [first, second] = [await desk.escrow(pc, password(1)), await desk.escrow(pc, password(2))];
    const disclosureId = newGuid();
    expect(refusal(await desk.ask(first.keyId, { disclosureId }))).toBe('shown');
    expect(refusal(await desk.ask(second.keyId, { disclosureId }))).toBe('AUDIT_UNAVAILABLE');
    expect(await desk.rows()).toHaveLength(1);
  });

  test('of a key that no machine has any more asks for no rotation and says so', async () => {
    const desk = await Desk.open();
    const pc = await desk.machine('PC-7');
    const { keyId, volumeId } = await desk.escrow(pc, password(1));
    await desk.escrow(pc, password(2), { volumeId });
    expect(onlyKey(await desk.ask(keyId))).toMatchObject({ state: 'SUPERSEDED', rotationRequestId: null });
  });

  test('shows both passwords of one key ID, with machine and time, the newest first', async () => {
    const desk = await Desk.open();
    const [one, two] = [await desk.machine('PC-1'), await desk.machine('PC-2')];
    const ids = await desk.escrow(one, password(1));
    await desk.escrow(two, password(2), ids);
    const keys = shown(await desk.ask(ids.keyId));
    expect(
      keys.map(({ value, conflicting, machines }) => [value, conflicting, machines[0]?.name]).sort(),
    ).toEqual(
      [
        [password(1), true, 'PC-1'],
        [password(2), true, 'PC-2'],
      ].sort(),
    );
    expect(keys[0]!.machines[0]!.provenAtMs).toBeGreaterThanOrEqual(keys[1]!.machines[0]!.provenAtMs);
  });

  test('of a key package and of a TPM password hash as a .tpm file; never to end users', async () => {
    const desk = await Desk.open();
    const pc = await desk.machine('PC-7', 'CORP\\anna');
    const keyPackage = randomBytes(300);
    const { keyId } = await desk.escrow(pc, password(1), { keyPackage });
    const packed = onlyKey(await desk.ask(keyId, { target: { kind: 'KEY_PACKAGE', keyId } }));
    expect(Buffer.from(packed.value as Uint8Array).equals(keyPackage)).toBe(true);
    const bare = await desk.escrow(pc, password(2));
    const tpm = (change: Partial<DisclosureRequest> = {}) =>
      desk.ask(newGuid(), {
        target: { kind: 'TPM_OWNER_AUTH', machine: 'corp\\pc-7' },
        reason: 'Clear TPM',
        ...change,
      });
    expect(refusal(await desk.ask(bare.keyId, { target: { kind: 'KEY_PACKAGE', keyId: bare.keyId } }))).toBe(
      'NOT_PROVIDED',
    );
    expect(refusal(await tpm())).toBe('NOT_PROVIDED');
    const ownerAuth = randomBytes(20);
    await desk.send(pc, { type: 'ESCROW_TPM_OWNER_AUTH', ownerAuth });
    const key = onlyKey(await tpm());
    expect(key).toMatchObject({
      value: ownerAuth.toString('base64'),
      volumeId: null,
      rotationRequestId: null,
    });
    const file = tpmFile({
      ownerAuth: String(key.value),
      machineName: 'PC "7" & <x>',
      user: 'CORP\\admin',
      atMs: 0,
    });
    expect(file).toContain(
      '<tpmOwnerData version="1.0" softwareAuthor="mpe" creationDate="1970-01-01T00:00:00Z"',
    );
    expect(file).toContain('machineName="PC &quot;7&quot; &amp; &lt;x&gt;"');
    expect(file).toContain(`<ownerAuth>${ownerAuth.toString('base64')}</ownerAuth>`);
    const anna = person('CORP\\anna', 'self-service-user');
    expect(refusal(await tpm({ person: anna, way: 'own', reason: 'Lost PIN/passphrase' }))).toBe(
      'NOT_ALLOWED',
    );
    expect(refusal(await tpm({ target: { kind: 'TPM_OWNER_AUTH', machine: 'PC-8' } }))).toBe('NOT_FOUND');
    await desk.machine('PC-7');
    expect(refusal(await tpm())).toBe('AMBIGUOUS');
    expect((await desk.rows()).map(({ keyType }) => keyType)).toContain('TPM Password Hash');
  });

  test('takes the reasons of the published lists, words of one’s own where they end with Other', async () => {
    const desk = await Desk.open();
    const { keyId } = await desk.escrow(await desk.machine('PC-7', 'CORP\\anna'), password(1));
    for (const reason of ['', 'x'.repeat(300)])
      expect(refusal(await desk.ask(keyId, { reason }))).toBe('REASON_INVALID');
    await desk.ask(keyId, { reason: 'lost smartcard' });
    await desk.ask(keyId, { reason: 'the cat sat on it' });
    const own = { way: 'own', person: person('CORP\\anna', 'self-service-user') } as const;
    expect(refusal(await desk.ask(keyId, { ...own, reason: 'the cat sat on it' }))).toBe('REASON_INVALID');
    expect(refusal(await desk.ask(keyId, { ...own, reason: 'BIOS/TPM changed' }))).toBe('shown');
    const good = (await desk.rows()).filter(({ result }) => result === 'Successful');
    expect(good.map(({ reason }) => reason)).toEqual([
      'Lost smartcard',
      'Other: the cat sat on it',
      'BIOS/TPM changed',
    ]);
    expect(good.at(-1)).toMatchObject({ helpdeskUser: 'CORP\\anna', endUser: 'CORP\\anna' });
  });

  test('tries older copies, marks what is damaged, and tells a missing key from a damaged one', async () => {
    const desk = await Desk.open();
    const pc = await desk.machine('PC-7');
    const { keyId } = await desk.escrow(pc, password(1));
    const damage = (change: string, ...values: unknown[]): void => {
      const db = new Database(`${desk.site.folder}/site.db`);
      db.exec('DROP TRIGGER IF EXISTS MPE_KeySecrets_NoUpdate');
      db.prepare(change).run(...values);
      db.close();
    };
    const [good] = await desk.store.disclosure.readKey(keyId);
    const content = good!.generations[0]!.content;
    // A second copy, damaged: the first one is shown.
    damage(
      `INSERT INTO MPE_KeySecrets (SecretId, Generation, Form, DataKeyId, Content, StoredAt)
       SELECT SecretId, 2, Form, DataKeyId, zeroblob(84), StoredAt FROM MPE_KeySecrets`,
    );
    expect(onlyKey(await desk.ask(keyId)).value).toBe(password(1));
    expect(await desk.store.counts()).toMatchObject({ damagedSecrets: 0 });
    const after = (await desk.store.disclosure.readKey(keyId))[0]!.generations;
    expect(after.map(({ generation, healthy }) => [generation, healthy])).toEqual([
      [2, false],
      [1, true],
    ]);
    // The data key is gone: nothing is marked.
    const away = {
      open: () =>
        Promise.reject(new MpeError('SECRET_UNREADABLE', 'x', { facts: { reason: 'DATA_KEY_UNKNOWN' } })),
    };
    const gone = await desk.ask(
      keyId,
      {},
      { ...desk.context, keys: { ...away, refresh: () => Promise.resolve() } },
    );
    expect(gone).toMatchObject({ refusal: 'KEY_VERSION_UNAVAILABLE' });
    expect(content.form === 'SEALED' && gone.outcome === 'refused' && gone.detail).toContain(
      content.form === 'SEALED' ? content.dataKeyId : '',
    );
    damage('UPDATE MPE_KeySecrets SET Content = zeroblob(84)');
    expect(refusal(await desk.ask(keyId))).toBe('DAMAGED');
    expect((await desk.store.disclosure.readKey(keyId))[0]!.generations.some(({ healthy }) => healthy)).toBe(
      false,
    );
    const failed = (await desk.rows()).filter(({ result }) => result === 'Failed');
    expect(failed.map(({ detail }) => detail.split(':')[0])).toEqual(['KEY_VERSION_UNAVAILABLE', 'DAMAGED']);
  });

  test('leaves out of the audit a recovery password that somebody typed into another field', async () => {
    const desk = await Desk.open();
    const typed = password(1);
    const { keyId } = await desk.escrow(await desk.machine('PC-7', 'CORP\\anna'), typed);
    await desk.ask(keyId, { reason: `Other: ${typed}`, ticket: typed });
    await desk.ask(keyId, { reason: 'Lost PIN', ticket: typed.replaceAll('-', ' '), person: HELPDESK });
    const rows = await desk.rows();
    expect(rows.map(({ result }) => result)).toEqual(['Successful', 'Failed']);
    expect(rows[0]).toMatchObject({ reason: 'Other: [redacted]', ticket: '[redacted]' });
    expect(rows[1]).toMatchObject({ ticket: '[redacted]' });
  });

  test('refuses beyond the limit of a person and an hour, whatever comes at once', async () => {
    const desk = await Desk.open({}, { helpdeskPerHour: 3, ownPerHour: 1 });
    const { keyId } = await desk.escrow(await desk.machine('PC-7', 'CORP\\anna'), password(1));
    const answers = await Promise.all(Array.from({ length: 6 }, () => desk.ask(keyId)));
    expect(answers.map(refusal).sort()).toEqual([
      ...Array<string>(3).fill('LIMIT_REACHED'),
      ...Array<string>(3).fill('shown'),
    ]);
    // Another writing of the same name is the same person; another person has a limit of their own.
    expect(refusal(await desk.ask(keyId, { person: { ...ADMIN, name: 'corp\\ADMIN' } }))).toBe(
      'LIMIT_REACHED',
    );
    const anna = { way: 'own', person: person('CORP\\anna', 'self-service-user') } as const;
    expect(refusal(await desk.ask(keyId, anna))).toBe('shown');
    expect(refusal(await desk.ask(keyId, anna))).toBe('LIMIT_REACHED');
  });
});

describe('who may see a key', () => {
  /** Outcomes by role, for a machine that the person (and the named user) signed in to, and another one. */
  const TABLE: Readonly<
    Record<
      Role,
      Readonly<
        Record<
          'helpdesk' | 'helpdesk+user' | 'own' | 'tpm' | 'tpm+user',
          readonly [own: string, other: string]
        >
      >
    >
  > = {
    'helpdesk-administrator': {
      helpdesk: ['shown', 'shown'],
      'helpdesk+user': ['shown', 'shown'],
      own: ['NOT_ALLOWED', 'NOT_ALLOWED'],
      tpm: ['shown', 'shown'],
      'tpm+user': ['shown', 'shown'],
    },
    'helpdesk-user': {
      helpdesk: ['USER_REQUIRED', 'USER_REQUIRED'],
      'helpdesk+user': ['shown', 'USER_UNRELATED'],
      own: ['NOT_ALLOWED', 'NOT_ALLOWED'],
      tpm: ['USER_REQUIRED', 'USER_REQUIRED'],
      'tpm+user': ['shown', 'USER_UNRELATED'],
    },
    'self-service-user': {
      helpdesk: ['NOT_ALLOWED', 'NOT_ALLOWED'],
      'helpdesk+user': ['NOT_ALLOWED', 'NOT_ALLOWED'],
      own: ['shown', 'NOT_OWN_MACHINE'],
      tpm: ['NOT_ALLOWED', 'NOT_ALLOWED'],
      'tpm+user': ['NOT_ALLOWED', 'NOT_ALLOWED'],
    },
    'report-user': nobody(),
    operator: nobody(),
    auditor: nobody(),
  };
  function nobody() {
    const no = ['NOT_ALLOWED', 'NOT_ALLOWED'] as const;
    return { helpdesk: no, 'helpdesk+user': no, own: no, tpm: no, 'tpm+user': no };
  }

  test('is what the table says, for every role, way and machine, each with its row', async () => {
    const desk = await Desk.open();
    const machines = {
      own: await desk.machine('PC-OWN', 'CORP\\anna'),
      other: await desk.machine('PC-OTHER', 'CORP\\bert'),
    };
    const keys = {
      own: await desk.escrow(machines.own, password(1)),
      other: await desk.escrow(machines.other, password(2)),
    };
    for (const pc of Object.values(machines))
      await desk.send(pc, { type: 'ESCROW_TPM_OWNER_AUTH', ownerAuth: randomBytes(20) });
    let asked = 0;
    for (const role of ROLES) {
      for (const [way, outcomes] of Object.entries(TABLE[role])) {
        for (const [n, place] of (['own', 'other'] as const).entries()) {
          const answer = await desk.ask(keys[place].keyId, {
            person: person('CORP\\anna', role),
            way: way === 'own' ? 'own' : 'helpdesk',
            endUser: way.endsWith('+user') ? { domain: 'corp', account: 'ANNA' } : null,
            reason: way === 'own' ? 'OS files modified' : 'Other',
            ...(way.startsWith('tpm')
              ? { target: { kind: 'TPM_OWNER_AUTH', machine: machines[place].clientId } }
              : {}),
          });
          asked += 1;
          expect(refusal(answer), `${role} ${way} ${place}`).toBe(outcomes[n]);
        }
      }
    }
    const rows = await desk.rows();
    expect(rows).toHaveLength(asked);
    expect(asked).toBe(ROLES.length * 5 * 2);
    expect(GRANTS).toHaveLength(4);
  });

  test('without a user, a helpdesk user learns of no key ID and no machine whether there is one', async () => {
    const desk = await Desk.open();
    const { keyId } = await desk.escrow(await desk.machine('PC-7', 'CORP\\anna'), password(1));
    const refusals: string[] = [];
    for (const target of [
      ...[keyId, newGuid()].map((id) => ({ kind: 'KEY_PACKAGE', keyId: id }) as const),
      ...['PC-7', 'PC-8'].map((machine) => ({ kind: 'TPM_OWNER_AUTH', machine }) as const),
    ])
      refusals.push(refusal(await desk.ask(keyId, { person: HELPDESK, reason: 'Other', target })));
    expect(refusals).toEqual(Array(4).fill('USER_REQUIRED'));
    expect(await desk.rows()).toHaveLength(4);
  });

  test('several roles: the widest; no role: nothing; an e-mail address is a user by name and domain', async () => {
    const desk = await Desk.open();
    const pc = await desk.machine('PC-7', 'corp.example\\anna', 'AzureAD\\bert@corp.example');
    const { keyId } = await desk.escrow(pc, password(1));
    expect(
      refusal(await desk.ask(keyId, { person: person('x', 'report-user', 'helpdesk-administrator') })),
    ).toBe('shown');
    expect(refusal(await desk.ask(keyId, { person: person('x') }))).toBe('NOT_ALLOWED');
    for (const [name, outcome] of [
      ['Anna@Corp.Example', 'shown'],
      ['bert@corp.example', 'shown'],
      ['anna@other.example', 'NOT_OWN_MACHINE'],
      ['anna', 'NOT_OWN_MACHINE'],
      ['\\anna', 'NOT_OWN_MACHINE'],
    ] as const)
      expect(
        refusal(await desk.ask(keyId, { way: 'own', person: person(name, 'self-service-user') })),
        name,
      ).toBe(outcome);
    const named = (domain: string, account: string) => ({ person: HELPDESK, endUser: { domain, account } });
    for (const user of [named('', 'anna'), named('corp.example', ' ')])
      expect(refusal(await desk.ask(keyId, user))).toBe('USER_REQUIRED');
    expect(refusal(await desk.ask(newGuid(), named('corp.example', 'anna')))).toBe('NOT_FOUND');
  });

  test('a machine that only claims another’s volume and key ID gains no access and changes nothing', async () => {
    const desk = await Desk.open();
    const victim = await desk.machine('PC-V', 'CORP\\anna');
    const ids = await desk.escrow(victim, password(1));
    const thief = await desk.machine('PC-T', 'CORP\\mallory');
    // It names the volume and the key, and says that Mallory and Anna sign in to it.
    const users = [{ domain: 'CORP', name: 'mallory' }];
    await desk.send(
      thief,
      checkIn([{ volumeId: ids.volumeId, keyIds: [ids.keyId] }], { machineName: 'PC-V', users }),
    );
    const mallory = { way: 'own', person: person('CORP\\mallory', 'self-service-user') } as const;
    const asMallory = { person: HELPDESK, endUser: { domain: 'CORP', account: 'mallory' } };
    expect(refusal(await desk.ask(ids.keyId, mallory))).toBe('NOT_OWN_MACHINE');
    expect(refusal(await desk.ask(ids.keyId, asMallory))).toBe('USER_UNRELATED');
    // The victim moves on: what the thief still names asks for no rotation, and it has no rank.
    await desk.escrow(victim, password(2), { volumeId: ids.volumeId });
    const answer = onlyKey(await desk.ask(ids.keyId));
    expect(answer).toMatchObject({
      value: password(1),
      rotationRequestId: null,
      machines: [{ clientId: victim.clientId }],
    });
    // It sends a password of its own under the same key ID: its users see that one alone.
    await desk.escrow(thief, password(3), ids);
    const theirs = await desk.ask(ids.keyId, mallory);
    expect(onlyKey(theirs).value).toBe(password(3));
    expect(theirs).toMatchObject({ withheld: [{ why: 'NOT_YOURS', machines: [] }] });
    expect(
      onlyKey(await desk.ask(ids.keyId, { person: HELPDESK, endUser: { domain: 'CORP', account: 'anna' } }))
        .value,
    ).toBe(password(1));
    expect(shown(await desk.ask(ids.keyId))).toHaveLength(2);
  });
});
