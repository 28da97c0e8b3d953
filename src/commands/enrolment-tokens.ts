import { createHash, randomBytes } from 'node:crypto';
import type { Command } from 'commander';
import { clockOf, loadConfig } from '../config/index.js';
import { verifySiteDocument } from '../jose/site-document.js';
import { MpeError } from '../ops/errors.js';
import { formatEnrolmentToken } from '../protocol/enrolment-token.js';
import { newGuid, parseGuid } from '../protocol/guid.js';
import type { EnrolmentTokenRow } from '../store/site-store.js';
import { operatorDeed } from './audited-change.js';
import { group } from './group.js';
import { numberOption } from './number-option.js';
import { print, printJson, table, time } from './output.js';
import { requireSite, withStore } from './with-store.js';

const DAY_MS = 86_400_000;

/** `mpe enrolment-tokens create|list|revoke`. */
export function register(program: Command): void {
  const tokens = group(program, 'enrolment-tokens', 'Tokens with which new clients enrol');
  tokens
    .command('create')
    .description('make a token; it is shown once')
    .option('--uses <n>', 'clients that may enrol with it', numberOption('--uses', 1, 10_000_000), 1)
    .option('--expires <time>', 'time until it expires, e.g. 36h, 14d or 8w (default: 7d)', lifetime)
    .option('--days <n>', 'the same, in days', numberOption('--days', 1, 3_650))
    .option('--tag <tag>', 'tag that its clients get, for policies', '')
    .option('--json', 'print it as JSON', false)
    .action(create);
  tokens
    .command('list')
    .description('list tokens; none shows its secret')
    .option('--json', 'print them as JSON', false)
    .action(list);
  tokens
    .command('revoke')
    .description('end a token; clients that enrolled with it stay')
    .argument('<id>', 'id of the token, from the list')
    .action(revoke);
}

const UNITS_MS = { m: 60_000, h: 3_600_000, d: DAY_MS, w: 7 * DAY_MS } as const;

/** A number with a unit: minutes, hours, days or weeks; ten years at most, as `--days`. */
function lifetime(text: string): number {
  const [, count = '', unit = ''] = /^([1-9]\d{0,6})([mhdw])$/.exec(text) ?? [];
  const ms = unit === '' ? 0 : Number(count) * UNITS_MS[unit as keyof typeof UNITS_MS];
  if (ms > 0 && ms <= 3_650 * DAY_MS) return ms;
  throw new MpeError('USAGE', '--expires must be a number with m, h, d or w, e.g. 14d, and at most 3650d');
}

interface CreateOptions {
  readonly uses: number;
  /** Milliseconds. */
  readonly expires?: number;
  readonly days?: number;
  readonly tag: string;
  readonly json: boolean;
}

async function create(options: CreateOptions): Promise<void> {
  if (!/^[A-Za-z0-9._-]{0,64}$/.test(options.tag)) {
    throw new MpeError('USAGE', '--tag must have at most 64 of A-Z a-z 0-9 . _ -');
  }
  if (options.expires !== undefined && options.days !== undefined)
    throw new MpeError('USAGE', 'give --expires or --days, not both');
  const lifetimeMs = options.expires ?? (options.days ?? 7) * DAY_MS;
  const config = loadConfig();
  await withStore(config, async (store) => {
    const site = await requireSite(store);
    const now = clockOf(config, site.testSite).now();
    // The root of today: a client that enrols with it need not follow earlier changes.
    const { rootKey } = await verifySiteDocument((await store.readSiteDocument()).jws, site.rootThumbprint);
    const secret = randomBytes(32);
    const row: EnrolmentTokenRow = {
      tokenId: newGuid(),
      secretHash: createHash('sha256').update(secret).digest(),
      usesAllowed: options.uses,
      usesLeft: options.uses,
      expiresAtMs: now + lifetimeMs,
      tag: options.tag,
      revokedAtMs: null,
      createdAtMs: now,
    };
    const tag = row.tag === '' ? '' : `, tag ${row.tag}`;
    const said = `token ${row.tokenId}, ${row.usesAllowed} uses, until ${time(row.expiresAtMs)}${tag}`;
    await operatorDeed(config, store, now)('Enrolment token created', said);
    await store.insertEnrolmentToken(row);
    const token = formatEnrolmentToken({
      siteGuid: site.siteGuid,
      rootThumbprint: rootKey.kid,
      secret,
    });
    if (options.json) printJson({ tokenId: row.tokenId, enrolmentToken: token, ...times(row) });
    else
      print(
        `Token ${row.tokenId}, ${row.usesAllowed} uses, until ${time(row.expiresAtMs)}; shown this once:`,
        '',
        `  ${token}`,
      );
  });
}

const times = (row: EnrolmentTokenRow): { readonly createdAt: string; readonly expiresAt: string } => ({
  createdAt: time(row.createdAtMs),
  expiresAt: time(row.expiresAtMs),
});

async function list(options: { readonly json: boolean }): Promise<void> {
  const config = loadConfig();
  await withStore(
    config,
    async (store) => {
      const site = await requireSite(store);
      const now = clockOf(config, site.testSite).now();
      const rows = await store.readEnrolmentTokens();
      if (options.json) {
        printJson(
          rows.map((row) => ({
            tokenId: row.tokenId,
            state: stateOf(row, now),
            usesAllowed: row.usesAllowed,
            used: row.usesAllowed - row.usesLeft,
            usesLeft: row.usesLeft,
            tag: row.tag,
            ...times(row),
          })),
        );
        return;
      }
      print(
        ...table(
          ['id', 'state', 'used', 'left', 'of', 'expires', 'tag'],
          rows.map((row) => [
            row.tokenId,
            stateOf(row, now),
            String(row.usesAllowed - row.usesLeft),
            String(row.usesLeft),
            String(row.usesAllowed),
            time(row.expiresAtMs),
            row.tag,
          ]),
        ),
      );
    },
    { readOnly: true },
  );
}

function stateOf(row: EnrolmentTokenRow, nowMs: number): 'usable' | 'revoked' | 'expired' | 'used up' {
  if (row.revokedAtMs !== null) return 'revoked';
  if (row.expiresAtMs <= nowMs) return 'expired';
  return row.usesLeft > 0 ? 'usable' : 'used up';
}

async function revoke(id: string): Promise<void> {
  const tokenId = parseGuid(id);
  const config = loadConfig();
  await withStore(config, async (store) => {
    const site = await requireSite(store);
    const now = clockOf(config, site.testSite).now();
    if (!(await store.readEnrolmentTokens()).some((row) => row.tokenId === tokenId))
      throw new MpeError('USAGE', `there is no token ${tokenId}; see "mpe enrolment-tokens list"`);
    await operatorDeed(config, store, now)('Enrolment token revoked', `token ${tokenId}`);
    await store.revokeEnrolmentToken(tokenId, now);
    print(`Token ${tokenId} is revoked.`);
  });
}
