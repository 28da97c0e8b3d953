import { readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { MpeError } from '../ops/errors.js';
import { formatRecoveryPassword } from '../protocol/recovery-password.js';
import type { Fixture } from './fixture-schema.js';
import { secretsOf } from './secrets-of.js';

/** Where a secret of a fixture was found in clear. */
export interface Finding {
  readonly where: string;
  readonly offset: number;
  /** Case, kind and form, never the value. */
  readonly what: string;
}

interface Pattern {
  readonly bytes: Buffer;
  readonly what: string;
}

/** Shorter needles than this turn up by accident. */
const MIN_BYTES = 14;
/** Values such as all zero turn up everywhere; they are looked for in their text form alone. */
const MIN_DISTINCT = 6;

/** The base64 of `bytes` as it stands inside a longer base64 text, for each of the three alignments. */
function insideBase64(bytes: Buffer): string[] {
  return [0, 1, 2].map((shift) => {
    const text = Buffer.concat([Buffer.alloc(shift), bytes, Buffer.alloc(3)]).toString('base64');
    const start = Math.ceil((shift * 8) / 6);
    return text.slice(start, start + Math.floor((bytes.length * 8 - (start * 6 - shift * 8)) / 6));
  });
}

function patternsOf(fixtures: readonly Fixture[]): readonly Pattern[] {
  const patterns = new Map<string, Pattern>();
  const add = (bytes: Buffer, what: string): void => {
    if (bytes.length >= MIN_BYTES) patterns.set(bytes.toString('latin1'), { bytes, what });
  };
  for (const fixture of fixtures) {
    for (const { kind, value, text } of secretsOf(fixture)) {
      const name = `${fixture.name}: ${kind}`;
      if (text !== '') add(Buffer.from(text), `${name} as sent`);
      if (value === null) continue;
      const random = new Set(value).size >= MIN_DISTINCT;
      if (kind === 'RECOVERY_PASSWORD') {
        const canonical = formatRecoveryPassword(value);
        add(Buffer.from(canonical), `${name} as text`);
        if (!random) continue;
        add(Buffer.from(canonical.replaceAll('-', '')), `${name} as 48 digits`);
        add(Buffer.from(canonical.replaceAll('-', ' ')), `${name} with blanks`);
        add(Buffer.from(canonical, 'utf16le'), `${name} as UTF-16`);
        for (const form of insideBase64(Buffer.from(canonical))) add(Buffer.from(form), `${name} in base64`);
      }
      if (!random) continue;
      // The first bytes of a long value are enough, and found faster.
      const head = value.subarray(0, 48);
      add(head, `${name} as bytes`);
      add(Buffer.from(head.toString('hex')), `${name} in hex`);
      add(Buffer.from(head.toString('hex').toUpperCase()), `${name} in hex`);
      for (const form of insideBase64(head)) {
        add(Buffer.from(form), `${name} in base64`);
        add(Buffer.from(form.replaceAll('+', '-').replaceAll('/', '_')), `${name} in base64url`);
      }
    }
  }
  return [...patterns.values()];
}

/** Looks for the secrets of fixtures, in every form they could leak in, in one pass over the bytes. */
export class SecretScanner {
  readonly #starts = new Uint8Array(0x10000);
  readonly #byStart = new Map<number, Pattern[]>();
  readonly #findings: Finding[] = [];
  /** Bytes looked at. */
  scanned = 0;

  constructor(fixtures: readonly Fixture[]) {
    for (const pattern of patternsOf(fixtures)) {
      this.#starts[pattern.bytes.readUInt16LE(0)] = 1;
      const start = pattern.bytes.readUInt32LE(0);
      this.#byStart.set(start, [...(this.#byStart.get(start) ?? []), pattern]);
    }
  }

  /** What was found so far. */
  get findings(): readonly Finding[] {
    return this.#findings;
  }

  /** Looks through bytes. */
  scan(where: string, data: Uint8Array): void {
    const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    this.scanned += bytes.length;
    for (let at = 0; at + MIN_BYTES <= bytes.length; at += 1) {
      if (this.#starts[(bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8)] === 0) continue;
      for (const { bytes: needle, what } of this.#byStart.get(bytes.readUInt32LE(at)) ?? []) {
        if (bytes.compare(needle, 0, needle.length, at, Math.min(at + needle.length, bytes.length)) === 0)
          this.#findings.push({ where, offset: at, what });
      }
    }
  }

  /**
   * Looks through a file, or every file of a folder.
   *
   * @throws MpeError USAGE where there is none: a search that looks at nothing proves nothing
   */
  scanPath(path: string): void {
    let folder: boolean;
    try {
      folder = statSync(path).isDirectory();
    } catch (error) {
      throw new MpeError('USAGE', `${path} cannot be searched: it is not there or not readable`, {
        cause: error,
      });
    }
    if (!folder) {
      this.scan(path, readFileSync(path));
      return;
    }
    for (const entry of readdirSync(path, { withFileTypes: true })) {
      if (entry.isDirectory() || entry.isFile()) this.scanPath(join(path, entry.name));
    }
  }
}
