import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { MAIN } from '../support/engine-process.js';
import { tempFolder } from '../support/temp.js';
import { copyWithModes } from '../support/copy-folder.js';

/** What a command printed and how it ended. */
export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A folder of one's own in which `mpe …` runs as a process of its own, from dist/. */
export class Home {
  readonly folder = tempFolder('mpe-command-');
  readonly home = join(this.folder, 'mpe-data');
  readonly keysDir = join(this.home, 'keys');
  readonly database = join(this.home, 'site.db');

  async mpe(args: readonly string[], settings: Readonly<Record<string, string>> = {}): Promise<Ran> {
    if (!existsSync(MAIN)) throw new Error('dist/main.js is absent: run npm run build first');
    const child = spawn(process.execPath, [MAIN, ...args], {
      cwd: this.folder,
      // Nothing of the caller's settings gets in.
      env: { PATH: process.env['PATH'] ?? '', ...settings },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const [out, err]: [Buffer[], Buffer[]] = [[], []];
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    return { code, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() };
  }

  /** `mpe site init`, which must work; its result. */
  async init(...more: readonly string[]): Promise<Readonly<Record<string, string>>> {
    const { code, stdout, stderr } = await this.mpe(['site', 'init', '--json', ...more]);
    if (code !== 0) throw new Error(`site init ended with ${code}: ${stderr}`);
    return JSON.parse(stdout) as Record<string, string>;
  }

  /** The same site in a folder of its own: making one takes seconds, copying does not. */
  copy(): Home {
    const other = new Home();
    copyWithModes(this.home, other.home);
    return other;
  }
}
