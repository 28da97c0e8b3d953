import { userInfo } from 'node:os';

/** Who runs a command, for histories: the account of the operating system. */
export function operatorName(): string {
  try {
    return userInfo().username;
  } catch {
    return `uid ${process.getuid?.() ?? '?'}`;
  }
}

/**
 * Whose name counts where two people are demanded: the account behind `sudo` for a process of root alone.
 * Anybody can set SUDO_USER; for root it was sudo that did, or somebody who may do everything anyway.
 */
export function personName(sudoUser: string | undefined, uid: number | undefined): string {
  return uid === 0 && sudoUser !== undefined && sudoUser !== '' ? sudoUser : operatorName();
}
