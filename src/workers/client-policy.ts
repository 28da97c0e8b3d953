import type { ClientPolicy } from '../protocol/client-message.js';
import { first, type Gates } from './gates.js';

/** The policy as a check-in's reply tells it: what the gates let in now. null: none applies. */
export function clientPolicy(gates: Gates): ClientPolicy | null {
  const { policy } = gates;
  if (policy === null) return null;
  const passwords = first(gates.volume('OS'), gates.secret) === 'NONE';
  return {
    mode: policy.mode,
    checkIntervalMinutes: policy.checkIntervalMinutes,
    recoveryPasswords: passwords,
    keyPackages: passwords && gates.keyPackage === 'NONE',
    removableDrives: first(gates.volume('REMOVABLE'), gates.secret) === 'NONE',
    tpmOwnerAuth: gates.tpmOwnerAuth === 'NONE',
  };
}
