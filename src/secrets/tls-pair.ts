import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { assertKeyMatches, keyMatchesCertificate } from './certificate-file.js';
import { KEY_FILES, readKeyFile } from './key-files.js';

/** Key and chain of a gateway's TLS, PEM. */
export interface TlsPair {
  readonly key: string;
  /** Leaf, then CA. */
  readonly cert: string;
}

/**
 * Reads a gateway's TLS key and the chain for it. A renewal puts the next key beside the old one, then the
 * new chain, then the key in its place: between any two of these steps, and after a kill there, the chain
 * fits one of both keys.
 *
 * @throws MpeError KEY_FOLDER_INVALID where it fits none
 */
export function readTlsPair(folder: string): TlsPair {
  // A renewal may end between two readings: then once more.
  const { key, cert } = look(folder) ?? look(folder) ?? read(folder);
  assertKeyMatches(key, cert, `key folder ${folder}: ${KEY_FILES.tlsChain}`);
  return { key, cert };
}

function read(folder: string): TlsPair {
  const cert = readKeyFile(folder, KEY_FILES.tlsChain);
  return { cert, key: readKeyFile(folder, KEY_FILES.tlsKey) };
}

/** The chain with the key that fits it; null where none does. */
function look(folder: string): TlsPair | null {
  const { key, cert } = read(folder);
  if (fits(key, cert)) return { key, cert };
  const next = readNext(folder);
  return next !== null && fits(next, cert) ? { key: next, cert } : null;
}

function readNext(folder: string): string | null {
  if (!existsSync(join(folder, KEY_FILES.tlsKeyNext))) return null;
  try {
    return readKeyFile(folder, KEY_FILES.tlsKeyNext);
  } catch (error) {
    // The renewal ended meanwhile.
    if (!existsSync(join(folder, KEY_FILES.tlsKeyNext))) return null;
    throw error;
  }
}

function fits(key: string, cert: string): boolean {
  try {
    return keyMatchesCertificate(key, cert);
  } catch {
    return false;
  }
}
