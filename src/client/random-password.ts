import { randomBytes } from 'node:crypto';
import { formatRecoveryPassword } from '../protocol/recovery-password.js';

/** A valid random recovery password, canonical text: for simulators and trials. */
export function randomRecoveryPassword(): string {
  return formatRecoveryPassword(randomBytes(16));
}
