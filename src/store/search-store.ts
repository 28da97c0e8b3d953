/**
 * What the portals search. A namespace of SiteStore: `store.search`. Metadata alone; every search
 * seeks an index and runs a constant number of statements, however many keys there are.
 */
import type { Guid } from '../protocol/guid.js';
import type { VolumeType } from '../protocol/vocabulary.js';

/** A user as machines name those who signed in locally. Compared without case. */
export interface NamedAccount {
  /** null: any; for people whose machines name them by their whole address. */
  readonly domain: string | null;
  readonly account: string;
}

/** What is searched. */
export type KeySearch =
  /** 8 to 32 hex digits in lower case, nothing between them. */
  | { readonly by: 'digits'; readonly digits: string }
  /** A machine's name, as it last called itself or registered; domain null: any. */
  | { readonly by: 'machine'; readonly machine: string; readonly domain: string | null }
  | { readonly by: 'client'; readonly clientId: Guid }
  /** Machines that one of these signed in to locally. */
  | { readonly by: 'users'; readonly users: readonly NamedAccount[] };

/** A machine that sent a key. */
export interface SearchedHolder {
  readonly clientId: Guid;
  readonly machineName: string;
  readonly domain: string;
  readonly current: boolean;
  readonly supersededAtMs: number | null;
  readonly reportedAtMs: number | null;
}

/** A key, without its value. */
export interface SearchedKey {
  readonly keyId: Guid;
  readonly volumeId: Guid;
  readonly volumeType: VolumeType;
  readonly driveLabel: string;
  readonly firstStoredAtMs: number;
  readonly lastProvenAtMs: number;
  readonly hasPackage: boolean;
  readonly conflicting: boolean;
  /** A recovery password with an undamaged generation exists. */
  readonly readable: boolean;
  readonly exposedAtMs: number | null;
  /** The newest report first. */
  readonly holders: readonly SearchedHolder[];
}

/** A machine. */
export interface SearchedMachine {
  readonly clientId: Guid;
  readonly machineName: string;
  readonly domain: string;
  readonly reportedAtMs: number | null;
}

/** See the top of this file. */
export interface SearchStore {
  /**
   * Keys, the newest proof first, at most `limit`. `users`: only keys that a machine sent which one of
   * them signed in to locally.
   *
   * @throws MpeError VALUE_INVALID where digits do not have their form
   */
  keys(
    search: KeySearch,
    options: { readonly limit: number; readonly users?: readonly NamedAccount[] },
  ): Promise<readonly SearchedKey[]>;
  /** Machines that one of these signed in to locally. */
  machinesOf(users: readonly NamedAccount[], limit: number): Promise<readonly SearchedMachine[]>;
  /** Machines of a name (any domain), by name. */
  machinesNamed(name: string, limit: number): Promise<readonly SearchedMachine[]>;
  /** A machine by the number that compatible interfaces know; null: none has it. */
  machineByNumber(number: number): Promise<SearchedMachine | null>;
  /** Gives numbers to machines that have none; the numbers in the order given. */
  numberMachines(clientIds: readonly Guid[]): Promise<readonly number[]>;
}

/** The first number of a machine. */
export const FIRST_MACHINE_NUMBER = 16_777_216;
