import type { PeopleStore } from '../../people-store.js';
import type { Connection } from '../connection.js';
import { retryBusy } from '../retry-busy.js';
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

/** The people of a site in SQLite. */
export function sqlitePeople(c: Connection): PeopleStore {
  return {
    addAccount: (row) => retryBusy('adding an account', () => addAccount(c, row)),
    findAccount: (name) => retryBusy('reading an account', () => findAccount(c, name)),
    listAccounts: () => retryBusy('reading accounts', () => listAccounts(c)),
    changeAccount: (name, change, atMs) =>
      retryBusy('changing an account', () => changeAccount(c, name, change, atMs)),
    noteSignIn: (name, atMs) => retryBusy('noting a sign-in', () => noteSignIn(c, name, atMs)),
    addSession: (row) => retryBusy('adding a session', () => addSession(c, row)),
    findSession: (hash) => retryBusy('reading a session', () => findSession(c, hash)),
    touchSession: (hash, atMs) => retryBusy('noting a request', () => touchSession(c, hash, atMs)),
    acceptNotice: (hash) => retryBusy('noting that a notice was accepted', () => acceptNotice(c, hash)),
    endSession: (hash) => retryBusy('ending a session', () => endSession(c, hash)),
    endSessionsOf: (name) => retryBusy('ending sessions', () => endSessionsOf(c, name)),
    pruneSessions: (beforeMs) => retryBusy('removing ended sessions', () => pruneSessions(c, beforeMs)),
    countFailures: (subjects, atMs, forgetMs) =>
      retryBusy('counting a refused sign-in', () => countFailures(c, subjects, atMs, forgetMs)),
    lockUntil: (subject, untilMs) => retryBusy('locking a sign-in', () => lockUntil(c, subject, untilMs)),
    readFailures: (subjects) => retryBusy('reading refused sign-ins', () => readFailures(c, subjects)),
    clearFailures: (subjects) => retryBusy('forgetting refused sign-ins', () => clearFailures(c, subjects)),
    pruneFailures: (beforeMs) => retryBusy('forgetting refused sign-ins', () => pruneFailures(c, beforeMs)),
    readBreakGlass: () => retryBusy('reading the break-glass account', () => readBreakGlass(c)),
    setBreakGlass: (row) => retryBusy('setting the break-glass account', () => setBreakGlass(c, row)),
    armBreakGlass: (untilMs, by) =>
      retryBusy('arming the break-glass account', () => armBreakGlass(c, untilMs, by)),
    useBreakGlassStep: (step) => retryBusy('using a code', () => useBreakGlassStep(c, step)),
  };
}
