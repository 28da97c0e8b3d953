import { parseGuid, type Guid } from '../../protocol/guid.js';
import type { DisclosableSecret, DisclosureStore } from '../../store/disclosure-store.js';
import type { DisclosureRefusal, DisclosureTarget } from './types.js';

/** What a target stands for. */
export type Found =
  | { readonly kind: 'some'; readonly secrets: readonly DisclosableSecret[] }
  | { readonly kind: 'none'; readonly refusal: DisclosureRefusal; readonly detail: string };

const NOT_FOUND = 'no key with this ID is stored. Compare all digits, and ask for the machine';

/** The stored secrets of a target, whoever sent them. */
export async function findSecrets(store: DisclosureStore, target: DisclosureTarget): Promise<Found> {
  if (target.kind === 'TPM_OWNER_AUTH') return findOwnerAuth(store, target.machine);
  const stored = (await store.readKey(target.keyId)).filter(
    ({ identity }) => target.volumeId === undefined || identity.volumeId === target.volumeId,
  );
  const secrets = stored.filter(({ identity }) => identity.kind === target.kind);
  if (secrets.length > 0) return { kind: 'some', secrets };
  if (stored.length === 0) return { kind: 'none', refusal: 'NOT_FOUND', detail: NOT_FOUND };
  const detail =
    target.kind === 'KEY_PACKAGE'
      ? 'a key with this ID is stored without a key package'
      : 'of this key only the package is stored, and no password';
  return { kind: 'none', refusal: 'NOT_PROVIDED', detail };
}

async function findOwnerAuth(store: DisclosureStore, machine: string): Promise<Found> {
  const clients = await clientsOf(store, machine);
  const [clientId] = clients;
  if (clientId === undefined)
    return {
      kind: 'none',
      refusal: 'NOT_FOUND',
      detail: 'no machine of this name or client id is registered',
    };
  if (clients.length > 1) {
    const detail = `${clients.length} machines have this name: give the domain (DOMAIN\\NAME) or the client id`;
    return { kind: 'none', refusal: 'AMBIGUOUS', detail };
  }
  // The newest alone: a TPM has one owner authorization.
  const [newest] = await store.readOwnerAuths(clientId);
  if (newest !== undefined) return { kind: 'some', secrets: [newest] };
  return {
    kind: 'none',
    refusal: 'NOT_PROVIDED',
    detail: 'this machine sent no TPM password hash: Windows 10 from version 1607 on does not keep one',
  };
}

async function clientsOf(store: DisclosureStore, machine: string): Promise<readonly Guid[]> {
  const id = /^\{?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\}?$/i.test(machine.trim());
  return id ? [parseGuid(machine.trim())] : store.findMachines(machine);
}
