import { readFileSync } from 'node:fs';
import { z } from 'zod';

/** The release, from package.json: the same file for the sources and for dist/. */
export const VERSION: string = z
  .object({ version: z.string() })
  .parse(JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))).version;
