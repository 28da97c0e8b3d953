import type { PeopleStore } from '../../people-store.js';
import type { Connection } from '../connection.js';
import { run } from '../run.js';
import { addAccount, changeAccount, findAccount, listAccounts, noteSignIn } from './accounts.js';
import { armBreakGlass, readBreakGlass, setBreakGlass, useBreakGlassStep } from './break-glass.js';
import { clearFailures, countFailures, lockUntil, pruneFailures, readFailures } from './failures.js';
import {
  acceptNotice,
  addSession,
  endSession,
  endSessionsOf,
  findSession,
  pruneSessions,
  touchSession,
} from './sessions.js';

/** Runs work that writes, or refuses it where the database is open to read only. */
type Write = <T>(doing: string, work: () => Promise<T>) => Promise<T>;

/** The people of a site on SQL Server. */
export function mssqlPeople(c: Connection, write: Write): PeopleStore {
  return {
    addAccount: (row) => write('adding an account', () => addAccount(c, row)),
    findAccount: (name) => run('reading an account', () => findAccount(c, name)),
    listAccounts: () => run('reading accounts', () => listAccounts(c)),
    changeAccount: (name, change, atMs) =>
      write('changing an account', () => changeAccount(c, name, change, atMs)),
    noteSignIn: (name, atMs) => write('noting a sign-in', () => noteSignIn(c, name, atMs)),
    addSession: (row) => write('adding a session', () => addSession(c, row)),
    findSession: (hash) => run('reading a session', () => findSession(c, hash)),
    touchSession: (hash, atMs) => write('noting a request', () => touchSession(c, hash, atMs)),
    acceptNotice: (hash) => write('noting that a notice was accepted', () => acceptNotice(c, hash)),
    endSession: (hash) => write('ending a session', () => endSession(c, hash)),
    endSessionsOf: (name) => write('ending sessions', () => endSessionsOf(c, name)),
    pruneSessions: (beforeMs) => write('removing ended sessions', () => pruneSessions(c, beforeMs)),
    countFailures: (subjects, atMs, forgetMs) =>
      write('counting a refused sign-in', () => countFailures(c, subjects, atMs, forgetMs)),
    lockUntil: (subject, untilMs) => write('locking a sign-in', () => lockUntil(c, subject, untilMs)),
    readFailures: (subjects) => run('reading refused sign-ins', () => readFailures(c, subjects)),
    clearFailures: (subjects) => write('forgetting refused sign-ins', () => clearFailures(c, subjects)),
    pruneFailures: (beforeMs) => write('forgetting refused sign-ins', () => pruneFailures(c, beforeMs)),
    readBreakGlass: () => run('reading the break-glass account', () => readBreakGlass(c)),
    setBreakGlass: (row) => write('setting the break-glass account', () => setBreakGlass(c, row)),
    armBreakGlass: (untilMs, by) =>
      write('arming the break-glass account', () => armBreakGlass(c, untilMs, by)),
    useBreakGlassStep: (step) => write('using a code', () => useBreakGlassStep(c, step)),
  };
}
