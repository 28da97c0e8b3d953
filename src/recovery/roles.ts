/**
 * Who may do what: the one table. Every route of the recovery service names an operation of it, and
 * a hook asks {@link may} before anything else is read (design §7).
 */
import { ROLE_NAMES, type RoleName } from '../config/index.js';

/** The roles, as accounts and claims of a provider name them. */
export const ROLES = ROLE_NAMES;
export type Role = RoleName;

/** How somebody signed in. */
export type SignInWay = 'oidc' | 'local' | 'break-glass';

/** Somebody who is signed in. */
export interface Person {
  /** `DOMAIN\user` or an e-mail address; as audit rows name them. */
  readonly name: string;
  readonly roles: readonly Role[];
  readonly signIn: SignInWay;
}

/** Whether the machine in question is one that the person signed in to locally. */
export type Relation = 'own' | 'other';

/** How far an operation is granted, the weakest first. */
export const GRANTS = ['no', 'own', 'named-user', 'any'] as const;
/**
 * `own`: on machines that the person signed in to locally; `named-user`: on machines of a user whose
 * domain and account the person names; `any`: on every machine, and for what concerns no machine.
 */
export type Grant = (typeof GRANTS)[number];

type Row = Readonly<Record<Role, Grant>>;

/** A line of the table, in the order of {@link ROLES}. */
function row(
  administrator: Grant,
  helpdesk: Grant,
  reports: Grant,
  selfService: Grant,
  operator: Grant,
  auditor: Grant,
): Row {
  return {
    'helpdesk-administrator': administrator,
    'helpdesk-user': helpdesk,
    'report-user': reports,
    'self-service-user': selfService,
    operator,
    auditor,
  };
}

/* prettier-ignore */
const TABLE = {
  //                          administrator  helpdesk      reports  self-service  operator  auditor
  /** Find keys by key ID, machine or user; metadata alone. */
  'key.search':          row('any',        'named-user', 'no',    'no',         'no',     'no'),
  /** Show a recovery password, with its key package. */
  'key.disclose':        row('any',        'named-user', 'no',    'no',         'no',     'no'),
  /** Show a TPM password hash. */
  'tpm.disclose':        row('any',        'named-user', 'no',    'no',         'no',     'no'),
  /** List one's own machines, and find keys of them. */
  'own.search':          row('no',         'no',         'no',    'own',        'no',     'no'),
  /** Show a recovery password of one's own machine. */
  'own.disclose':        row('no',         'no',         'no',    'own',        'no',     'no'),
  /** See how rotations stand. */
  'rotation.list':       row('any',        'any',        'any',   'no',         'any',    'any'),
  /** See how the rotation of a key stands that one was shown. */
  'rotation.watch':      row('any',        'named-user', 'any',   'own',        'any',    'any'),
  'rotation.request':    row('any',        'no',         'no',    'no',         'any',    'no'),
  'rotation.abandon':    row('no',         'no',         'no',    'no',         'any',    'no'),
  'policy.read':         row('no',         'no',         'no',    'no',         'any',    'any'),
  'policy.change':       row('no',         'no',         'no',    'no',         'any',    'no'),
  /** Registrations that wait. */
  'client.list':         row('no',         'no',         'no',    'no',         'any',    'any'),
  'client.decide':       row('no',         'no',         'no',    'no',         'any',    'no'),
  'management-point.list': row('no',       'no',         'no',    'no',         'any',    'any'),
  'audit.report':        row('any',        'no',         'any',   'no',         'no',     'any'),
  'coverage.report':     row('any',        'no',         'any',   'no',         'any',    'any'),
  'incident.list':       row('any',        'no',         'no',    'no',         'any',    'any'),
  /** Propose or confirm an incident; always two different people. */
  'incident.open':       row('any',        'no',         'no',    'no',         'any',    'no'),
  /** Print the keys of the machines of an open incident. */
  'incident.print':      row('any',        'no',         'no',    'no',         'no',     'no'),
  'people.list':         row('no',         'no',         'no',    'no',         'any',    'any'),
  /** Disable or enable a local account; roles and passwords are given on the command line alone. */
  'people.disable':      row('no',         'no',         'no',    'no',         'any',    'no'),
} as const satisfies Record<string, Row>;

/** An operation of the table. */
export type Operation = keyof typeof TABLE;

/** Every operation, in the order of the table. */
export const OPERATIONS = Object.keys(TABLE) as readonly Operation[];

/** How far somebody may do something: the widest grant of all roles. */
export function grantOf(person: Pick<Person, 'roles'>, operation: Operation): Grant {
  const granted = person.roles.map((role) => GRANTS.indexOf(TABLE[operation][role]));
  return GRANTS[Math.max(0, ...granted)] ?? 'no';
}

/**
 * Whether somebody may do something on a machine of theirs, or on one of somebody else. For a grant
 * `named-user` the operation itself demands the user and checks that the machine is that user's.
 */
export function may(person: Pick<Person, 'roles'>, operation: Operation, relation: Relation): boolean {
  switch (grantOf(person, operation)) {
    case 'no':
      return false;
    case 'own':
      return relation === 'own';
    case 'named-user':
    case 'any':
      return true;
  }
}

/** Whether somebody must name the user of the machine (domain and account) for an operation. */
export function mustNameUser(person: Pick<Person, 'roles'>, operation: Operation): boolean {
  return grantOf(person, operation) === 'named-user';
}
