import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parseRecoveryPassword } from '../../src/protocol/recovery-password.js';
import { readApart } from './read-apart.js';

/** Where a secret was found, and in which spelling. */
export interface CanaryHit {
  readonly where: string;
  readonly spelling: string;
}

/** Base64 and base64url of bytes wherever they may begin inside a longer text, edges cut off. */
function base64Forms(bytes: Uint8Array): string[] {
  const forms: string[] = [];
  for (const shift of [0, 1, 2]) {
    const text = Buffer.concat([Buffer.alloc(shift), bytes])
      .toString('base64')
      .replace(/=+$/, '');
    // Characters that also hold bits of what stands before or behind.
    const inner = text.slice(Math.ceil((shift * 4) / 3), text.length - 1);
    forms.push(inner, inner.replaceAll('+', '-').replaceAll('/', '_'));
  }
  return [...new Set(forms)];
}

/** Every spelling of a text that a program could have written by accident. */
export function spellingsOfText(text: string): Map<string, Buffer> {
  const bytes = Buffer.from(text, 'utf8');
  const forms = new Map<string, Buffer>([
    ['text', bytes],
    ['UTF-16', Buffer.from(text, 'utf16le')],
    ['hex', Buffer.from(bytes.toString('hex'))],
    ['HEX', Buffer.from(bytes.toString('hex').toUpperCase())],
  ]);
  for (const [index, form] of base64Forms(bytes).entries()) forms.set(`base64 (${index})`, Buffer.from(form));
  return forms;
}

/** Every spelling of a recovery password: its text with hyphens, spaces or neither, and its 16 bytes. */
export function spellingsOfPassword(password: string): Map<string, Buffer> {
  const { canonical, bytes } = parseRecoveryPassword(password);
  const forms = new Map<string, Buffer>();
  for (const [name, text] of [
    ['hyphens', canonical],
    ['spaces', canonical.replaceAll('-', ' ')],
    ['digits', canonical.replaceAll('-', '')],
  ] as const)
    for (const [form, value] of spellingsOfText(text)) forms.set(`${name}, ${form}`, value);
  forms.set('16 bytes', bytes);
  forms.set('16 bytes, hex', Buffer.from(bytes.toString('hex')));
  for (const [index, form] of base64Forms(bytes).entries())
    forms.set(`16 bytes, base64 (${index})`, Buffer.from(form));
  return forms;
}

/** Every file below a folder. */
export function filesBelow(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

/** Searches named contents for spellings. */
export function searchIn(
  contents: ReadonlyMap<string, Uint8Array>,
  spellings: ReadonlyMap<string, Buffer>,
): CanaryHit[] {
  const hits: CanaryHit[] = [];
  for (const [where, bytes] of contents) {
    const haystack = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (const [spelling, needle] of spellings) if (haystack.includes(needle)) hits.push({ where, spelling });
  }
  return hits;
}

/** The contents of all files below folders, sockets and vanished files passed over. */
export function readAll(folders: readonly string[]): Map<string, Buffer> {
  const contents = new Map<string, Buffer>();
  for (const folder of folders)
    for (const file of statSync(folder).isFile() ? [folder] : filesBelow(folder)) {
      try {
        contents.set(file, readApart(file));
      } catch {
        // Gone while we looked.
      }
    }
  return contents;
}
