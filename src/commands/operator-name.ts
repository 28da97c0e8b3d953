import { userInfo } from 'node:os';

/** Who runs a command, for histories: the account of the operating system. */
export function operatorName(): string {
  try {
    return userInfo().username;
  } catch {
    return `uid ${process.getuid?.() ?? '?'}`;
  }
}
