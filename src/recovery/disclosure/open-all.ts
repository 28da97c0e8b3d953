import type { FingerprintKey } from '../../secrets/fingerprint.js';
import type { DisclosableSecret, SecretHolder } from '../../store/disclosure-store.js';
import { openGenerations, type Opened, type SecretSource } from './open-generations.js';

/** A secret that the person may see, after it was tried to open it. */
export interface Tried<O extends Opened = Opened> {
  readonly secret: DisclosableSecret;
  readonly holders: readonly SecretHolder[];
  readonly opened: O;
}

export type TriedOpen = Tried<Extract<Opened, { kind: 'open' }>>;
export type TriedClosed = Tried<Extract<Opened, { kind: 'closed' }>>;

/** Opens what the person may see. The caller overwrites the plaintexts. */
export async function openAll(
  { keys, fingerprintKey }: { readonly keys: SecretSource; readonly fingerprintKey: FingerprintKey | null },
  secrets: readonly { readonly secret: DisclosableSecret; readonly holders: readonly SecretHolder[] }[],
): Promise<{ readonly open: readonly TriedOpen[]; readonly closed: readonly TriedClosed[] }> {
  const open: TriedOpen[] = [];
  const closed: TriedClosed[] = [];
  for (const { secret, holders } of secrets) {
    const opened = await openGenerations(keys, fingerprintKey, secret);
    if (opened.kind === 'open') open.push({ secret, holders, opened });
    else closed.push({ secret, holders, opened });
  }
  return { open, closed };
}
