import { sqlServerName } from '../../config/index.js';
import { verifySiteDocument } from '../../jose/site-document.js';
import { isMpeError } from '../../ops/errors.js';
import { readSchemaState } from '../../store/migrate-store.js';
import { openStore } from '../../store/open-store.js';
import { readStoreTime } from '../../store/store-time.js';
import { fitOfKeys } from '../../site/key-fit.js';
import { requireSite } from '../with-store.js';
import type { DoctorContext } from './context.js';
import { failure, ok, reasonOf, warning, type Check, type Verdict } from './finding.js';
import { expiry } from './host-checks.js';

/** The newest data keys that are tried. */
const DATA_KEYS = 50;
/** Share of a bound from which on it is told. */
const NEARLY = 0.8;
/** Times in rows and in tokens are compared across hosts. */
export const SKEW_MS = 2000;

/** Checks of the database, and of the keys against it. */
export function databaseChecks(context: DoctorContext): readonly Check[] {
  const fix = 'see the check "database"';
  return [
    { name: 'database', fix: 'start the database, or check MPE_STORE_URL', run: () => database(context) },
    { name: 'schema', fix: 'start the database, then run "mpe migrate"', run: () => schema(context) },
    { name: 'rights', fix, run: () => rights(context) },
    { name: 'keys and database', fix, run: () => keysFit(context) },
    { name: 'site document', fix, run: () => siteDocument(context) },
    { name: 'stored messages', fix, run: () => counts(context) },
    { name: 'database clock', fix, run: () => clock(context) },
  ];
}

async function database(context: DoctorContext): Promise<readonly Verdict[]> {
  const { store: place } = context.config;
  const name = place.kind === 'sqlite' ? place.path : sqlServerName(place.target);
  try {
    const store = await context.store();
    const site = await requireSite(store);
    const { durable, detail, warnings = [] } = await store.durability();
    const fix = 'docs/sqlserver.md says how it is set';
    if (!durable) return [failure(`${name} does not promise durability (${detail})`, fix)];
    return [
      ok(`${name}: site "${site.name}"${site.testSite ? ' (TEST SITE)' : ''}; ${detail}`),
      ...warnings.map((line) => warning(line, fix)),
    ];
  } catch (error) {
    return [failure(reasonOf(error), fixFor(error))];
  }
}

function fixFor(error: unknown): string {
  if (isMpeError(error, 'SCHEMA_MISMATCH'))
    return 'restore the database or check MPE_STORE_URL; where its schema is older: run "mpe migrate"';
  if (isMpeError(error, 'SITE_MISMATCH')) return 'check MPE_STORE_URL, or restore the database';
  if (isMpeError(error) && error.retryable)
    return 'start the database server; check MPE_STORE_URL and the network';
  return 'check MPE_STORE_URL, the login and the permissions of the database';
}

async function schema({ config }: DoctorContext): Promise<readonly Verdict[]> {
  const { applied, known } = await readSchemaState(config.store);
  const text = `migration ${applied} of ${known}`;
  if (applied >= known) return [ok(text)];
  // An embedded database is migrated by whoever opens it for writing.
  if (config.store.kind === 'sqlite' && applied > 0)
    return [ok(`${text}; brought up by the next process that writes`)];
  return [failure(text, 'run "mpe migrate"')];
}

/** SQLite knows none. On SQL Server: those of the processes whose keys are on this host. */
async function rights({ config, parts }: DoctorContext): Promise<readonly Verdict[]> {
  if (config.store.kind === 'sqlite') return [ok('none in SQLite: the permissions of its file decide')];
  const kinds = (['gateway', 'worker', 'recovery'] as const).filter((kind) => parts.includes(kind));
  if (kinds.length === 0) return [ok('this host has keys of no process')];
  const found = await Promise.all(
    kinds.map(async (kind) => {
      try {
        await (await openStore(config.store, { readOnly: true, kind })).close();
        return { kind, lacking: null };
      } catch (error) {
        if (!isMpeError(error) || error.facts['missing'] === undefined) throw error;
        return { kind, lacking: Number(error.facts['missing']) };
      }
    }),
  );
  const can = found.flatMap(({ kind, lacking }) => (lacking === null ? [kind] : []));
  const verdicts = found.flatMap(({ kind, lacking }) => {
    if (lacking === null) return [];
    // One login a kind of process is how it should be: on a host with several parts this sees one of them.
    const tell = can.length === 0 ? failure : warning;
    const fix = `give this login the role mpe_${kind} ("mpe migrate --roles" gives the role its rights)`;
    return [tell(`the login lacks ${lacking} of the rights of a ${kind}`, fix)];
  });
  return can.length === 0 ? verdicts : [ok(`the login may be: ${can.join(', ')}`), ...verdicts];
}

async function keysFit(context: DoctorContext): Promise<readonly Verdict[]> {
  const fix =
    'bring the database and the key folder of one time together: "mpe restore", or another MPE_KEYS_DIR';
  const fits = await fitOfKeys(await context.store(), context.config.keysDir, DATA_KEYS);
  return fits.map(({ what, state, text }) => {
    if (state === 'fits') return ok(`${what}: ${text}`);
    return (state === 'differs' ? failure : warning)(`${what}: ${text}`, fix);
  });
}

async function siteDocument(context: DoctorContext): Promise<readonly Verdict[]> {
  const store = await context.store();
  const site = await requireSite(store);
  const document = await verifySiteDocument((await store.readSiteDocument()).jws, site.rootThumbprint);
  const what = `site document ${document.version}`;
  // On a test site the clock may be shifted; what it does not know of, it does not judge.
  const now = Date.now() + (site.testSite ? context.config.test.clockOffsetMs : 0);
  const verdict = expiry(
    what,
    document.expiresAtMs,
    now,
    'clients go on using it; renew it: mpe site publish',
  );
  const plain = warning(
    'keys are stored in PLAIN TEXT',
    'give the site a certificate: mpe certificate create',
  );
  return document.certificateThumbprint === null ? [verdict, plain] : [verdict];
}

async function counts(context: DoctorContext): Promise<readonly Verdict[]> {
  const { quarantineMax } = context.config;
  const { quarantined, deadLetters, damagedSecrets, secrets } = await (await context.store()).counts();
  const verdicts: Verdict[] = [];
  if (damagedSecrets > 0) {
    verdicts.push(
      failure(
        `${damagedSecrets} stored secrets do not open`,
        'keep every backup; "mpe secrets verify" names them; their machines are asked for them again',
      ),
    );
  }
  if (quarantined >= quarantineMax * NEARLY && quarantined > 0) {
    verdicts.push(
      warning(
        `quarantine holds ${quarantined} of ${quarantineMax}`,
        'docs/operator.md, "When something is wrong", says what each reason means',
      ),
    );
  }
  if (deadLetters > 0)
    verdicts.push(
      warning(`${deadLetters} dead letters`, 'mpe messages show ID; after a fix mpe messages redrive'),
    );
  if (verdicts.length > 0) return verdicts;
  return [ok(`${secrets} secrets, none unreadable; quarantine ${quarantined}, dead letters 0`)];
}

async function clock({ config }: DoctorContext): Promise<readonly Verdict[]> {
  const before = Date.now();
  const theirs = await readStoreTime(config.store);
  if (theirs === null) return [ok('SQLite has the clock of this host')];
  // Most of the way is the login; the answer is nearer to the end.
  const ahead = theirs - Date.now();
  const slack = Date.now() - before;
  return [skew('the database', Math.abs(ahead) <= slack ? 0 : ahead)];
}

/** Judges a clock that is ahead (or, below 0, behind). */
export function skew(what: string, aheadMs: number): Verdict {
  const text = `${what} is ${(Math.abs(aheadMs) / 1000).toFixed(1)} s ${aheadMs < 0 ? 'behind' : 'ahead of'} this host`;
  const fix = 'let all hosts keep time by NTP (chrony, systemd-timesyncd)';
  if (Math.abs(aheadMs) > 60_000) return failure(text, fix);
  return Math.abs(aheadMs) > SKEW_MS ? warning(text, fix) : ok(text);
}
