import { readFileSync, statSync } from 'node:fs';
import { MpeError } from '../ops/errors.js';

/** Where a password comes from. Never from an argument: everybody on a host sees those. */
export interface PasswordSource {
  /** A file, or `-` for standard input; absent: asked for on the terminal. */
  readonly passwordFile?: string;
}

/** The option of a command that needs a password. */
export const PASSWORD_OPTION = [
  '--password-file <file>',
  'a file that holds the password, or - for standard input; else it is asked for',
] as const;

const MAX_BYTES = 4096;
const OTHERS = 0o077;

/**
 * Reads a password: from a file that nobody else may read, from standard input, or from the terminal
 * without showing it. One line end at its end is no part of it.
 *
 * @param twice - asks a second time on the terminal: for a password that is being set
 * @throws MpeError USAGE
 */
export async function readPassword({ passwordFile }: PasswordSource, twice = false): Promise<string> {
  const password = passwordFile === undefined ? await ask(twice) : withoutLineEnd(readWhole(passwordFile));
  if (password === '') throw new MpeError('USAGE', 'the password is empty');
  return password;
}

function readWhole(path: string): string {
  try {
    if (path === '-') return readFileSync(0, 'utf8');
    const { mode, size } = statSync(path);
    if (process.platform !== 'win32' && (mode & OTHERS) !== 0)
      throw new MpeError('USAGE', `${path} can be read by others: chmod go= ${path}`);
    if (size > MAX_BYTES) throw new MpeError('USAGE', `${path} is too large to be a password`);
    return readFileSync(path, 'utf8');
  } catch (cause) {
    if (cause instanceof MpeError) throw cause;
    throw new MpeError('USAGE', `the password cannot be read from ${path}`, { cause });
  }
}

const withoutLineEnd = (text: string): string => text.replace(/\r?\n$/, '');

async function ask(twice: boolean): Promise<string> {
  if (!process.stdin.isTTY) {
    throw new MpeError('USAGE', 'there is no terminal to ask for the password: use --password-file');
  }
  const password = await askOnce('Password: ');
  if (twice && (await askOnce('Again:    ')) !== password)
    throw new MpeError('USAGE', 'the two passwords are not the same');
  return password;
}

/** Reads a line in raw mode: nothing of it is shown. */
function askOnce(question: string): Promise<string> {
  const { stdin, stderr } = process;
  stderr.write(question);
  stdin.setRawMode(true);
  stdin.setEncoding('utf8');
  stdin.resume();
  return new Promise((resolve, reject) => {
    let line = '';
    const end = (work: () => void): void => {
      stdin.off('data', take);
      stdin.setRawMode(false);
      stdin.pause();
      stderr.write('\n');
      work();
    };
    const take = (text: string): void => {
      for (const character of text) {
        if (character === '\r' || character === '\n') {
          end(() => {
            resolve(line);
          });
          return;
        }
        if (character === '\u0003' || character === '\u0004') {
          end(() => {
            reject(new MpeError('USAGE', 'no password was given'));
          });
          return;
        }
        line = character === '\u007f' || character === '\b' ? line.slice(0, -1) : line + character;
      }
    };
    stdin.on('data', take);
  });
}
