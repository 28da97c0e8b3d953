import mssql from 'mssql';
import { expect, onTestFinished, test } from 'vitest';
import { driverConfig } from '../../src/store/mssql/driver-config.js';
import { verifyAudit } from '../../src/recovery/audit/verify-audit.js';
import { describeSqlServer, makeSqlServerDatabase } from '../support/sqlserver.js';
import { password } from '../workers/support.js';
import { ADMIN, Desk, HELPDESK, onlyKey } from './desk.js';

const BUSY_SERVER_MS = 300_000;

describeSqlServer('disclosure on SQL Server', () => {
  test(
    'shows behind row, exposure and rotation; refuses and audits as on SQLite',
    async () => {
      const database = await makeSqlServerDatabase();
      const desk = await Desk.open({ location: database.location }, { helpdeskPerHour: 2, ownPerHour: 1 });
      const pc = await desk.machine('PC-7', 'CORP\\anna');
      const { keyId } = await desk.escrow(pc, password(1));
      const key = onlyKey(await desk.ask(keyId));
      expect(key).toMatchObject({
        value: password(1),
        state: 'CURRENT',
        machines: [{ clientId: pc.clientId }],
      });
      expect((await desk.store.rotation.find(key.rotationRequestId!))?.request).toMatchObject({ keyId });
      const anna = { person: HELPDESK, endUser: { domain: 'corp', account: 'Anna' } };
      expect((await desk.ask(keyId, anna)).outcome).toBe('shown');
      expect((await desk.ask(keyId, { ...anna, endUser: { domain: 'corp', account: 'bert' } })).outcome).toBe(
        'refused',
      );
      const answers = await Promise.all([1, 2, 3].map(() => desk.ask(keyId, { person: ADMIN })));
      expect(answers.map((one) => (one.outcome === 'refused' ? one.refusal : 'shown')).sort()).toEqual([
        'LIMIT_REACHED',
        'LIMIT_REACHED',
        'shown',
      ]);
      expect(await verifyAudit(desk.store.disclosure)).toMatchObject({ rows: 6, faults: [] });
    },
    BUSY_SERVER_MS,
  );

  test(
    'while another connection holds the head of the chain shows nothing, and escrow goes on',
    async () => {
      const database = await makeSqlServerDatabase();
      const desk = await Desk.open({ location: database.location });
      const pc = await desk.machine('PC-7');
      const { keyId } = await desk.escrow(pc, password(1));
      const holder = new mssql.ConnectionPool(driverConfig(database.target, 1));
      await holder.connect();
      onTestFinished(() => holder.close());
      const transaction = new mssql.Transaction(holder);
      await transaction.begin();
      await new mssql.Request(transaction).batch(
        `UPDATE dbo.MPE_AuditHead SET Sequence = Sequence + 1, Hash = 0x${'11'.repeat(32)} WHERE Id = 1;`,
      );
      const answer = await desk.ask(keyId, {}, { ...desk.context, writeWithinMs: 1_200 });
      expect(answer).toMatchObject({ outcome: 'refused', refusal: 'AUDIT_UNAVAILABLE', auditSequence: null });
      await desk.escrow(pc, password(2));
      await transaction.rollback();
      expect((await desk.ask(keyId)).outcome).toBe('shown');
      // What waited in vain has left nothing behind.
      expect(await verifyAudit(desk.store.disclosure)).toMatchObject({ rows: 1, faults: [] });
    },
    BUSY_SERVER_MS,
  );
});
