/**
 * What thieves try with what they stole, and what comes of it: the tables of docs/security.md and of
 * test/e2e/stolen.test.ts, which carries each attempt out on a real site.
 */

/** Something that can be stolen. */
export type Loot =
  /** The whole site database. */
  | 'database'
  /** The database after a sealing key was retired; `database` is then its backup from before. */
  | 'database since'
  /** Redis' append-only file: it holds what was sent, sealed, until Redis rewrites it. */
  | 'Redis'
  /** The same after a rewrite: what waits now. */
  | 'Redis, rewritten'
  /** Every file of a gateway's host. */
  | 'gateway'
  /** Every file of a worker's host. */
  | 'worker'
  /** The data key in the memory of a running worker. */
  | 'worker’s memory'
  /** A client's state folder: its journal. */
  | 'journal'
  /** `recovery/` of the key folder. */
  | 'recovery'
  /** `root/` and `ca/` of the key folder. */
  | 'root and CA';

/** Something that a thief may come to read. */
export type Readable =
  /** Passwords, packages and TPM values of messages that were committed. */
  | 'stored'
  /** Those among them that are stored under the data key that a worker uses now. */
  | 'stored today'
  /** Messages in the queue. */
  | 'queued'
  /** Messages in quarantine that are sealed to a key of the site. */
  | 'quarantined'
  /** What a client has not been told is committed. */
  | 'uncommitted'
  /** Enrolment tokens. */
  | 'enrolment token';

/** An attempt to read: everything that opens is opened, again and again. */
export interface Reading {
  readonly holds: readonly Loot[];
  readonly reads: readonly Readable[];
}

/** Every attempt to read. */
export const READINGS: readonly Reading[] = [
  { holds: ['database'], reads: [] },
  { holds: ['Redis'], reads: [] },
  { holds: ['gateway'], reads: [] },
  { holds: ['worker'], reads: [] },
  { holds: ['recovery'], reads: [] },
  { holds: ['root and CA'], reads: [] },
  { holds: ['journal'], reads: ['uncommitted'] },
  { holds: ['database', 'Redis'], reads: [] },
  { holds: ['gateway', 'Redis'], reads: [] },
  { holds: ['gateway', 'database', 'Redis'], reads: [] },
  { holds: ['gateway', 'database', 'Redis', 'root and CA'], reads: [] },
  { holds: ['gateway', 'database', 'Redis', 'journal'], reads: ['uncommitted'] },
  { holds: ['worker', 'Redis'], reads: [] },
  { holds: ['worker', 'database'], reads: ['quarantined'] },
  { holds: ['worker', 'database', 'Redis, rewritten'], reads: ['queued', 'quarantined'] },
  { holds: ['worker', 'database', 'Redis'], reads: ['stored', 'stored today', 'queued', 'quarantined'] },
  {
    holds: ['worker', 'gateway', 'database', 'Redis, rewritten', 'journal'],
    reads: ['queued', 'quarantined', 'uncommitted'],
  },
  {
    holds: ['worker', 'gateway', 'database', 'Redis', 'journal'],
    reads: ['stored', 'stored today', 'queued', 'quarantined', 'uncommitted'],
  },
  {
    holds: ['worker', 'gateway', 'database', 'Redis, rewritten', 'root and CA'],
    reads: ['queued', 'quarantined'],
  },
  {
    holds: ['worker', 'worker’s memory', 'database', 'Redis, rewritten'],
    reads: ['stored today', 'queued', 'quarantined'],
  },
  { holds: ['worker’s memory', 'database'], reads: ['stored today'] },
  { holds: ['worker', 'database since', 'Redis'], reads: [] },
  {
    holds: ['worker', 'database', 'database since', 'Redis, rewritten'],
    reads: ['queued', 'quarantined'],
  },
  { holds: ['recovery', 'Redis'], reads: [] },
  { holds: ['recovery', 'database'], reads: ['stored', 'stored today'] },
  {
    holds: ['recovery', 'database since', 'Redis'],
    reads: ['stored', 'stored today', 'queued', 'quarantined'],
  },
  {
    holds: ['recovery', 'worker', 'database', 'Redis'],
    reads: ['stored', 'stored today', 'queued', 'quarantined'],
  },
];

/** Attempts to forge, move or replace, with what comes of each. */
export const FORGERIES = {
  'gateway: call as any client': 'taken: any channel can be claimed',
  'gateway: fetch another client’s result': 'a sealed reply, which does not open',
  'gateway: a message signed by a key of its own': 'quarantined, and takes no effect',
  'gateway: a message signed by a key of its own under the client’s kid': 'CANNOT_OPEN',
  'gateway: a reply under a key of its own': 'CANNOT_OPEN',
  'gateway: a site document signed by the token key': 'NOT_AUTHENTIC',
  'gateway: a site token for another site': 'CANNOT_OPEN',
  'gateway, worker, database, Redis: sign as a client': 'no key',
  'gateway, worker, database, Redis: sign a site document': 'no key',
  'gateway, worker, database, Redis: a TLS certificate for another name': 'no key',
  'worker, database, Redis: a reply to a message that it opens': 'verified: it can be forged',
  'journal: sign as this client': 'verified: it is this client',
  'database: give one key’s ciphertext to another key': 'CIPHERTEXT_DAMAGED',
  'database: give it to another volume': 'CIPHERTEXT_DAMAGED',
  'database: give it to another kind': 'CIPHERTEXT_DAMAGED',
  'database: give it to another site': 'CIPHERTEXT_DAMAGED',
  'database: say that another data key made it': 'CIPHERTEXT_DAMAGED',
  'database: change one bit of it': 'CIPHERTEXT_DAMAGED',
  'database: exchange two wrapped data keys': 'DATA_KEY_DAMAGED',
  'database: take a data key away': 'DATA_KEY_UNKNOWN',
  'database: a data key of its own, wrapped to the certificate, with a password of its own':
    'opens, and its fingerprint differs',
  'database: exchange two sealing keys': 'SITE_MISMATCH',
  'database: a sealing key of its own': 'SITE_MISMATCH',
  'database: a site document by a root of its own': 'NOT_AUTHENTIC',
} as const satisfies Readonly<Record<string, string>>;

/** The name of an attempt to forge. */
export type Forgery = keyof typeof FORGERIES;
