import type { AuditFilter as StoredFilter, AuditRow } from '../../../store/disclosure-store.js';
import { MpeError } from '../../../ops/errors.js';
import { isAuditTime } from '../../audit/audit-text.js';
import { coverageReport } from '../../coverage/report.js';
import type { AuditFilter, AuditLine, RecoveryServices } from '../../services.js';
import type { ServicesContext } from '../services-context.js';

/** The recovery audit report and coverage. */
export function reportServices({ store, clock }: ServicesContext): RecoveryServices['reports'] {
  return {
    audit: async (filter) => {
      const rows = await store.disclosure.searchAudit(storedFilter(filter), filter.limit + 1);
      return { lines: rows.slice(0, filter.limit).map(lineOf), more: rows.length > filter.limit };
    },
    coverage: () => coverageReport(store, clock.now()),
  };
}

function storedFilter(filter: AuditFilter): StoredFilter {
  const { user, userType, before, result, keyType, fromMs, toMs } = filter;
  if (before !== undefined && !/^\d{1,18}$/.test(before))
    throw new MpeError('VALUE_INVALID', 'before is the sequence of a row');
  return {
    ...(result === undefined ? {} : { result }),
    ...(keyType === undefined ? {} : { keyType }),
    ...(fromMs === undefined ? {} : { fromMs }),
    ...(toMs === undefined ? {} : { toMs }),
    // The type alone says who asked; with a name, in which column it stands.
    ...(user === undefined
      ? userType === undefined
        ? {}
        : { askedBy: userType }
      : { user: { kind: userType ?? 'any', part: user } }),
    ...(before === undefined ? {} : { before: BigInt(before) }),
  };
}

function lineOf(row: AuditRow): AuditLine {
  const { atMs, source, result, helpdeskUser, endUser, machine, keyType, keyId, reason, ticket, detail } =
    row;
  const said = { helpdeskUser, endUser, machine, keyType, keyId, reason, ticket, detail };
  // Of a row that was changed by hand it may be no time at all.
  return { sequence: row.sequence.toString(), atMs: isAuditTime(atMs) ? atMs : 0, source, result, ...said };
}
