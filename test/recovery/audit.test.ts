import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { describe, expect, onTestFinished, test } from 'vitest';
import { publicPart } from '../../src/jose/index.js';
import { createLogger } from '../../src/ops/log.js';
import { systemClock } from '../../src/ops/clock.js';
import { newGuid } from '../../src/protocol/guid.js';
import { createAuditKey, readAuditKey } from '../../src/recovery/audit/audit-key.js';
import { readCheckpoints } from '../../src/recovery/audit/checkpoint.js';
import { exportAudit } from '../../src/recovery/audit/export-audit.js';
import { makeCheckpoint } from '../../src/recovery/audit/make-checkpoint.js';
import { readLogs } from '../../src/recovery/audit/read-log.js';
import {
  LOOK_WITHIN_MS,
  recordEvent,
  WRITE_WITHIN_MS,
  type AuditContext,
  type AuditFacts,
} from '../../src/recovery/audit/record.js';
import { syslogMessage } from '../../src/recovery/audit/syslog-message.js';
import { faultText, verifyAudit, type AuditReport } from '../../src/recovery/audit/verify-audit.js';
import { auditHash, auditText, type AuditRow } from '../../src/store/disclosure-store.js';
import { inventoryOf } from '../../src/secrets/inventory.js';
import { password, TestSite } from '../workers/support.js';
import { Desk } from './desk.js';

const facts = (change: Partial<AuditFacts> = {}): AuditFacts => ({
  ...{
    requestId: newGuid(),
    source: 'Helpdesk',
    person: 'CORP\\desk',
    helpdeskUser: 'CORP\\desk',
    endUser: '',
  },
  ...{
    machine: 'CORP\\PC',
    keyType: 'Recovery Key Password',
    keyId: newGuid(),
    reason: 'Lost PIN',
    ticket: '',
  },
  detail: '',
  ...change,
});

/** A site with an audit of some rows, its log, and hands to change the database by. */
class Chain {
  readonly site: TestSite;
  readonly context: AuditContext;
  readonly keysDir: string;
  readonly checkpoints: string;

  private constructor(site: TestSite) {
    this.site = site;
    this.keysDir = join(site.folder, 'keys');
    this.checkpoints = join(site.folder, 'checkpoints.jws');
    this.context = { store: site.store, clock: systemClock(), log: site.log };
  }

  static async of(rows: number): Promise<Chain> {
    const site = await TestSite.create();
    onTestFinished(() => site.store.close());
    const chain = new Chain(site);
    for (let n = 0; n < rows; n += 1)
      await recordEvent(chain.context, facts({ ticket: `T${n + 1}` }), 'Failed');
    return chain;
  }

  /** As somebody with the database file could, past the triggers. */
  sql(...statements: readonly string[]): void {
    const db = new Database(join(this.site.folder, 'site.db'));
    for (const name of [
      'MPE_Audit_NoUpdate',
      'MPE_Audit_NoDelete',
      'MPE_AuditHead_Forward',
      'MPE_AuditHead_NoDelete',
    ])
      db.exec(`DROP TRIGGER IF EXISTS ${name}`);
    for (const statement of statements) db.exec(statement);
    db.close();
  }

  checkpoint(always = false) {
    return makeCheckpoint({
      ...{ store: this.site.store.disclosure, siteGuid: this.site.siteGuid, key: readAuditKey(this.keysDir) },
      ...{ path: this.checkpoints, clock: systemClock(), always },
    });
  }

  async verify(by: { log?: boolean; checkpoints?: boolean } = {}): Promise<AuditReport> {
    const log = join(this.site.folder, 'recovery.log');
    writeFileSync(log, this.site.lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
    const key = publicPart(readAuditKey(this.keysDir));
    return verifyAudit(
      this.site.store.disclosure,
      by.log === true ? await readLogs([log]) : [],
      by.checkpoints === true ? await readCheckpoints(this.checkpoints, key, this.site.siteGuid) : [],
    );
  }

  /** Computes the chain anew from a row on, as a forger who knows the format would. */
  async forge(from: bigint, change: Partial<AuditRow>): Promise<void> {
    const rows = await this.site.store.disclosure.auditAfter(from - 1n, 1000);
    let previous = rows[0]!.previousHash;
    for (const [n, row] of rows.entries()) {
      const forged = n === 0 ? { ...row, ...change } : row;
      const hash = auditHash(forged, row.sequence, previous);
      this.sql(
        `UPDATE MPE_Audit SET HelpdeskUser = '${forged.helpdeskUser}', PreviousHash = X'${hex(previous)}', Hash = X'${hex(hash)}'
         WHERE Sequence = ${row.sequence}`,
      );
      previous = hash;
    }
    this.sql(`UPDATE MPE_AuditHead SET Hash = X'${hex(previous)}'`);
  }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const told = (report: AuditReport): string[] => report.faults.map(faultText);

describe('mpe audit verify', () => {
  test('finds nothing in a chain that nobody touched', async () => {
    const chain = await Chain.of(5);
    await chain.checkpoint();
    await recordEvent(chain.context, facts(), 'Successful');
    expect(await chain.verify({ log: true, checkpoints: true })).toMatchObject({
      rows: 6,
      attested: 7,
      attestedTo: { sequence: 6n },
      faults: [],
      more: false,
    });
    expect(await chain.verify({ checkpoints: true })).toMatchObject({
      attestedTo: { sequence: 5n, by: expect.stringMatching(/^the checkpoint of /) },
    });
    expect(await (await Chain.of(0)).verify()).toMatchObject({ faults: [], attestedTo: null });
  });

  test('is told each row by the log, however little else is logged', async () => {
    const chain = await Chain.of(0);
    const lines: string[] = [];
    for (const logLevel of ['trace', 'warn', 'fatal', 'silent'] as const) {
      const log = createLogger(
        'recovery',
        { logLevel },
        { stream: { write: (line) => void lines.push(line) } },
      );
      await recordEvent({ ...chain.context, log }, facts(), 'Failed');
    }
    const rows = await chain.site.store.disclosure.auditAfter(0n, 10);
    const told = lines.map((line) => JSON.parse(line) as { event: string; hash: string });
    expect(told.filter(({ event }) => event === 'audit.row').map(({ hash }) => hash)).toEqual(
      rows.slice(0, 3).map((row) => hex(row.hash)),
    );
  });

  test('names every changed row, whatever column', async () => {
    const columns: Record<string, string> = {
      ...{
        HappenedAt: 'HappenedAt + 1',
        Source: "'MBAM'",
        Result: "'Successful'",
        HelpdeskUser: "'x'",
        EndUser: "'x'",
      },
      ...{
        Machine: "'x'",
        KeyType: "''",
        KeyId: "'x'",
        Reason: "Reason || ' '",
        Ticket: "''",
        Detail: "'x'",
        Actor: "'x'",
      },
      RequestId: `'${newGuid()}'`,
    };
    const chain = await Chain.of(4);
    for (const [column, value] of Object.entries(columns)) {
      chain.sql(
        'CREATE TABLE Kept AS SELECT * FROM MPE_Audit WHERE Sequence = 3',
        `UPDATE MPE_Audit SET ${column} = ${value} WHERE Sequence = 3`,
      );
      const report = await chain.verify();
      expect(report.faults, column).toMatchObject([{ kind: 'changed', sequence: 3n }]);
      expect(told(report)[0]).toMatch(/^row 3 was changed/);
      chain.sql(
        `UPDATE MPE_Audit SET ${column} = (SELECT ${column} FROM Kept) WHERE Sequence = 3`,
        'DROP TABLE Kept',
      );
    }
    // Values that no release writes are named as well, and stop neither verifying nor exporting.
    for (const change of [
      'HappenedAt = 9000000000000000',
      'HappenedAt = -9223372036854775808',
      'HappenedAt = 9223372036854775807',
      'RequestId = upper(RequestId)',
      `RequestId = '${'z'.repeat(36)}'`,
      'RequestId = NULL',
    ]) {
      chain.sql(
        'CREATE TABLE Kept AS SELECT * FROM MPE_Audit WHERE Sequence = 3',
        `UPDATE MPE_Audit SET ${change} WHERE Sequence = 3`,
      );
      expect((await chain.verify()).faults, change).toMatchObject([{ kind: 'changed', sequence: 3n }]);
      for (const format of ['csv', 'json'] as const) {
        let lines = 0;
        for await (const piece of exportAudit(chain.site.store.disclosure, {}, format))
          lines += piece.split('\n').length - 1;
        expect(lines, change).toBeGreaterThan(4);
      }
      const rows = await chain.site.store.disclosure.auditAfter(2n, 1);
      expect(syslogMessage(rows[0]!, 'host')).toContain(' host mpe ');
      chain.sql(
        `UPDATE MPE_Audit SET HappenedAt = (SELECT HappenedAt FROM Kept), RequestId = (SELECT RequestId FROM Kept)
         WHERE Sequence = 3`,
        'DROP TABLE Kept',
      );
    }
    expect((await chain.verify()).faults).toEqual([]);
    chain.sql('UPDATE MPE_Audit SET PreviousHash = zeroblob(32) WHERE Sequence = 2');
    expect((await chain.verify()).faults.map(({ kind }) => kind).sort()).toEqual(['changed', 'unchained']);
  });

  test('names rows that are missing, in the middle and at both ends', async () => {
    const chain = await Chain.of(6);
    await chain.checkpoint();
    chain.sql('DELETE FROM MPE_Audit WHERE Sequence IN (3, 4)');
    expect(told(await chain.verify())).toEqual(['rows 3 to 4 are missing between others']);
    chain.sql('DELETE FROM MPE_Audit WHERE Sequence IN (1, 6)');
    expect(told(await chain.verify())).toEqual([
      'row 1 is missing between others',
      'rows 3 to 4 are missing between others',
      'row 6 is missing at the end; known by the head of the chain',
    ]);
    // The head moved back as well: only what is kept elsewhere knows.
    const cut = await Chain.of(6);
    await cut.checkpoint();
    cut.sql(
      'DELETE FROM MPE_Audit WHERE Sequence > 4',
      'UPDATE MPE_AuditHead SET Sequence = 4, Hash = (SELECT Hash FROM MPE_Audit WHERE Sequence = 4)',
    );
    expect((await cut.verify()).faults).toEqual([]);
    expect((await cut.verify({ log: true })).faults).toMatchObject([{ kind: 'cut', from: 5n, to: 6n }]);
    expect(told(await cut.verify({ checkpoints: true }))[0]).toMatch(
      /^rows 5 to 6 are missing at the end; known by the checkpoint of /,
    );
    cut.sql('DELETE FROM MPE_Audit', 'UPDATE MPE_AuditHead SET Sequence = 0, Hash = zeroblob(32)');
    expect((await cut.verify({ log: true })).faults).toMatchObject([{ kind: 'cut', from: 1n, to: 6n }]);
  });

  test('names rows that changed places, and rows beyond the head', async () => {
    const chain = await Chain.of(5);
    chain.sql(
      'UPDATE MPE_Audit SET Sequence = 99 WHERE Sequence = 2',
      'UPDATE MPE_Audit SET Sequence = 2 WHERE Sequence = 3',
      'UPDATE MPE_Audit SET Sequence = 3 WHERE Sequence = 99',
    );
    const found = (await chain.verify()).faults;
    for (const sequence of [2n, 3n])
      expect(found).toContainEqual(expect.objectContaining({ kind: 'changed', sequence }));
    const beyond = await Chain.of(3);
    beyond.sql(
      'UPDATE MPE_AuditHead SET Sequence = 2, Hash = (SELECT Hash FROM MPE_Audit WHERE Sequence = 2)',
    );
    expect(told(await beyond.verify())).toEqual([
      'the head of the chain is wrong: rows 3 to 3 lie beyond the head of the chain',
    ]);
    beyond.sql("UPDATE MPE_AuditHead SET Sequence = 3, Hash = X'" + '11'.repeat(32) + "'");
    expect(told(await beyond.verify())).toEqual([
      'the head of the chain is wrong: the head has another hash than row 3',
    ]);
  });

  test('by log or checkpoint finds a chain that was computed anew from a row on', async () => {
    const chain = await Chain.of(5);
    await chain.checkpoint();
    await chain.forge(3n, { helpdeskUser: 'CORP\\somebody else' });
    expect((await chain.verify()).faults).toEqual([]);
    expect((await chain.verify({ log: true })).faults).toMatchObject([
      { kind: 'replaced', sequence: 3n },
      { kind: 'replaced', sequence: 4n },
      { kind: 'replaced', sequence: 5n },
    ]);
    expect((await chain.verify({ checkpoints: true })).faults).toMatchObject([
      { kind: 'replaced', sequence: 5n },
    ]);
    // And gets no signature.
    await recordEvent(chain.context, facts(), 'Failed');
    await expect(chain.checkpoint()).rejects.toMatchObject({ code: 'AUDIT_BROKEN' });
  });
});

describe('checkpoints', () => {
  test('are signed where there is something new, each over what was verified', async () => {
    const chain = await Chain.of(2);
    expect(await chain.checkpoint()).toMatchObject({ sequence: 2n });
    expect(await chain.checkpoint()).toBeNull();
    expect(await chain.checkpoint(true)).toMatchObject({ sequence: 2n });
    await recordEvent(chain.context, facts(), 'Failed');
    expect(await chain.checkpoint()).toMatchObject({ sequence: 3n });
    const key = publicPart(readAuditKey(chain.keysDir));
    const lines = await readCheckpoints(chain.checkpoints, key, chain.site.siteGuid);
    expect(lines.map(({ kind }) => kind)).toEqual(['good', 'good', 'good']);
    chain.sql("UPDATE MPE_Audit SET Ticket = 'x' WHERE Sequence = 3");
    await recordEvent(chain.context, facts(), 'Failed');
    // Row 3 was signed as it was; what follows is looked at.
    chain.sql('UPDATE MPE_Audit SET PreviousHash = zeroblob(32) WHERE Sequence = 4');
    await expect(chain.checkpoint()).rejects.toMatchObject({ code: 'AUDIT_BROKEN' });
  });

  test('go on behind one that a crash cut off', async () => {
    const chain = await Chain.of(1);
    await chain.checkpoint();
    const whole = readFileSync(chain.checkpoints, 'utf8');
    writeFileSync(chain.checkpoints, whole.slice(0, 60));
    await chain.checkpoint(true);
    await chain.checkpoint(true);
    const key = publicPart(readAuditKey(chain.keysDir));
    const lines = await readCheckpoints(chain.checkpoints, key, chain.site.siteGuid);
    expect(lines.map(({ kind }) => kind)).toEqual(['bad', 'good', 'good']);
  });

  test('of another key, another site, or damaged, are named', async () => {
    const chain = await Chain.of(1);
    const other = await Chain.of(1);
    await chain.checkpoint();
    await other.checkpoint();
    const [own, foreign] = [chain, other].map((one) => readFileSync(one.checkpoints, 'utf8'));
    writeFileSync(
      chain.checkpoints,
      `${own}${foreign}${own!.slice(0, 40)}\n${own!.replace(/\.[^.]{4}/, '.AAAA')}`,
    );
    const faults = told(await chain.verify({ checkpoints: true }));
    expect(faults).toHaveLength(3);
    for (const [n, fault] of faults.entries())
      expect(fault).toMatch(new RegExp(`^checkpoint: line ${n + 2}: `));
  });

  test('have a key that a site has from its start, that is secret, in the backup, and never made twice', async () => {
    const chain = await Chain.of(0);
    expect(inventoryOf(chain.keysDir)).toContainEqual(
      expect.objectContaining({ path: 'recovery/audit-key.json', secret: true, state: 'ok', inBackup: true }),
    );
    await expect(createAuditKey(chain.keysDir)).rejects.toMatchObject({ code: 'KEY_FOLDER_INVALID' });
  });
});

describe('mpe audit export', () => {
  test('writes published columns, quoted, harmless to a spreadsheet; and JSON', async () => {
    const chain = await Chain.of(0);
    await recordEvent(chain.context, facts({ ticket: '=1+1', reason: 'a "b", c' }), 'Failed');
    await recordEvent(
      chain.context,
      facts({ ticket: '\uff0b1', reason: 'x;=1+1;-2', detail: 'x;"=1+1' }),
      'Failed',
    );
    await recordEvent(chain.context, facts({ endUser: 'CORP\\anna\u0000\ud800' }), 'Successful');
    const text = async (format: 'csv' | 'json', filter = {}): Promise<string> => {
      let all = '';
      for await (const piece of exportAudit(chain.site.store.disclosure, filter, format)) all += piece;
      return all;
    };
    const [heading, second, split, first] = (await text('csv')).split('\r\n');
    expect(heading).toMatch(
      /^Request Date and Time,Audit Request Source,Request Result,Helpdesk User,End User,Computer,Key Type,Reason/,
    );
    expect(first).toContain(`,Failed,CORP\\desk,,CORP\\PC,Recovery Key Password,"a ""b"", c",`);
    expect(first).toContain(`,'=1+1,`);
    // Full-width signs begin formulas too, and many countries split cells at semicolons.
    expect(split).toContain(`,x;'=1+1;'-2,`);
    expect(split).toContain(`,'\uff0b1,`);
    // Split there, the doubled quote opens and closes, and what is behind it is the cell.
    expect(split).toContain(`"x;'""=1+1"`);
    expect(second).toContain('CORP\\anna\ufffd\ufffd');
    const rows = JSON.parse(await text('json', { result: 'Failed' })) as Record<string, string>[];
    expect(rows.at(-1)).toMatchObject({ sequence: '1', ticket: '=1+1', result: 'Failed' });
    expect(JSON.parse(await text('json', { keyType: 'x' }))).toEqual([]);
    expect(auditText('x'.repeat(2000))).toHaveLength(1000);
  });
});

describe('an audit that cannot be written', () => {
  test('shows nothing, says so within its time, and lets work go on after the lock', async () => {
    const desk = await Desk.open();
    const pc = await desk.machine('PC-7');
    const { keyId } = await desk.escrow(pc, password(1));
    // What a person waits for at most: the try and the look for a lost answer.
    expect(WRITE_WITHIN_MS + LOOK_WITHIN_MS).toBeLessThan(2000);
    const context = { ...desk.context, writeWithinMs: 300 };
    const db = new Database(join(desk.site.folder, 'site.db'));
    onTestFinished(() => void db.close());
    db.exec('BEGIN IMMEDIATE');
    const answer = await desk.ask(keyId, {}, context);
    expect(answer).toMatchObject({ outcome: 'refused', refusal: 'AUDIT_UNAVAILABLE', auditSequence: null });
    // A refusal has no row either, and is no other refusal then.
    expect(await desk.ask(newGuid(), {}, context)).toMatchObject({ refusal: 'AUDIT_UNAVAILABLE' });
    await expect(recordEvent(context, facts(), 'Failed')).rejects.toMatchObject({
      code: 'AUDIT_UNAVAILABLE',
    });
    db.exec('ROLLBACK');
    expect(await desk.rows()).toEqual([]);
    await desk.escrow(pc, password(2));
    expect((await desk.ask(keyId, {}, context)).outcome).toBe('shown');
  });

  test('full: the insert fails, nothing is shown, escrow goes on', async () => {
    const desk = await Desk.open();
    const pc = await desk.machine('PC-7');
    const { keyId } = await desk.escrow(pc, password(1));
    const db = new Database(join(desk.site.folder, 'site.db'));
    onTestFinished(() => void db.close());
    db.exec(
      "CREATE TRIGGER Full BEFORE INSERT ON MPE_Audit BEGIN SELECT RAISE(ABORT, 'the audit is full'); END",
    );
    expect(await desk.ask(keyId)).toMatchObject({ refusal: 'AUDIT_UNAVAILABLE' });
    expect(db.prepare('SELECT count(*) AS n FROM MPE_Exposures').get()).toEqual({ n: 0 });
    await desk.escrow(pc, password(2));
    db.exec('DROP TRIGGER Full');
    expect((await desk.ask(keyId)).outcome).toBe('shown');
  });

  test('whose COMMIT was not answered is looked for; without its row nothing is shown', async () => {
    const desk = await Desk.open();
    const { keyId } = await desk.escrow(await desk.machine('PC-7'), password(1));
    const { disclosure } = desk.store;
    const lost = async (done: boolean) => {
      const store = {
        ...desk.context.store,
        disclosure: {
          ...disclosure,
          writeAudit: async (write: Parameters<typeof disclosure.writeAudit>[0]) => {
            if (done) await disclosure.writeAudit(write);
            const { MpeError } = await import('../../src/ops/errors.js');
            throw new MpeError('STORE_TRANSIENT', 'the answer was lost');
          },
        },
      };
      return desk.ask(keyId, {}, { ...desk.context, store });
    };
    expect(await lost(true)).toMatchObject({ outcome: 'shown', auditSequence: 1n });
    expect(await lost(false)).toMatchObject({ refusal: 'AUDIT_UNAVAILABLE' });
    expect(await desk.rows()).toHaveLength(1);
  });
});
