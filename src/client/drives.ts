import { newGuid, parseGuid, type Guid } from '../protocol/guid.js';
import type { VolumeInput } from './escrow.js';
import { randomRecoveryPassword } from './random-password.js';

/**
 * The drives of the machine as BitLocker has them. A real agent does this with the classes of
 * `root\cimv2\Security\MicrosoftVolumeEncryption`: Win32_EncryptableVolume, its GetKeyProtectors,
 * GetKeyProtectorNumericalPassword, ProtectKeyWithNumericalPassword and DeleteKeyProtector.
 *
 * An error of a method becomes a report of a failed rotation: its message must hold no secret.
 */
export interface Drives {
  /** The volume with all its recovery-password protectors and their passwords; null: it is not there. */
  read(volumeId: Guid): Promise<VolumeInput | null>;
  /** Adds a recovery-password protector with a new password; its key ID. */
  addProtector(volumeId: Guid): Promise<Guid>;
  /** Removes a protector; one that is not there is no error. */
  removeProtector(volumeId: Guid, keyId: Guid): Promise<void>;
}

/** Drives in memory: for tests, simulators and trials. */
export class MemoryDrives implements Drives {
  readonly #volumes = new Map<Guid, VolumeInput>();

  constructor(volumes: readonly VolumeInput[] = []) {
    for (const volume of volumes) this.attach(volume);
  }

  /** What is there now. */
  volumes(): VolumeInput[] {
    return [...this.#volumes.values()];
  }

  /** Plugs a drive in, or replaces it. */
  attach(volume: VolumeInput): void {
    this.#volumes.set(parseGuid(volume.volumeId), volume);
  }

  /** Takes a drive out; null: it was not there. */
  detach(volumeId: string): VolumeInput | null {
    const id = parseGuid(volumeId);
    const volume = this.#volumes.get(id) ?? null;
    this.#volumes.delete(id);
    return volume;
  }

  read(volumeId: Guid): Promise<VolumeInput | null> {
    return Promise.resolve(this.#volumes.get(volumeId) ?? null);
  }

  addProtector(volumeId: Guid): Promise<Guid> {
    const keyId = newGuid();
    this.#change(volumeId, (protectors) => [
      ...protectors,
      { keyId, recoveryPassword: randomRecoveryPassword() },
    ]);
    return Promise.resolve(keyId);
  }

  removeProtector(volumeId: Guid, keyId: Guid): Promise<void> {
    this.#change(volumeId, (protectors) => protectors.filter((one) => parseGuid(one.keyId) !== keyId));
    return Promise.resolve();
  }

  #change(
    volumeId: Guid,
    change: (protectors: VolumeInput['protectors']) => VolumeInput['protectors'],
  ): void {
    const volume = this.#volumes.get(volumeId);
    if (volume !== undefined)
      this.#volumes.set(volumeId, { ...volume, protectors: change(volume.protectors) });
  }
}
