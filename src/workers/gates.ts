import type { ItemReason, VolumeType } from '../protocol/vocabulary.js';
import type { PolicyRow } from '../store/site-store.js';

/**
 * What a site takes from a client over a channel. A gate refuses items, never a whole message,
 * except where no policy takes anything.
 */
export interface Gates {
  /** No policy applies: nothing is taken, not even a check-in. */
  readonly noPolicy: boolean;
  /** A policy applies, but only to look: no secret is taken. */
  readonly observeOnly: boolean;
  /** NONE, or why a volume of this type is not taken. */
  volume(type: VolumeType): ItemReason;
  /** NONE, or why no secret of any kind is taken. */
  readonly secret: ItemReason;
  /** NONE, or why key packages are not taken. */
  readonly keyPackage: ItemReason;
  /** NONE, or why TPM owner authorizations are not taken. */
  readonly tpmOwnerAuth: ItemReason;
}

/** What gates are made of. */
export interface GateInput {
  /** Policies that apply to the client: something is taken where any of them takes it. */
  readonly policies: readonly PolicyRow[];
  /** e.g. '2503'; text that is no number counts as current. */
  readonly siteVersion: string;
  /** A certificate is named in the site document, or it consents to plain text. */
  readonly mayStore: boolean;
}

/** First version that takes everything from every client, over HTTPS or enhanced HTTP. */
const EVERYTHING_SINCE = 2103;

/**
 * Before 2010 the original takes no escrow; 2010 takes OS and fixed volumes over a cloud management
 * gateway alone, and no channel of this release comes over one.
 */
function versionGate(siteVersion: string): ItemReason {
  const version = Number.parseInt(siteVersion, 10);
  return !Number.isFinite(version) || version >= EVERYTHING_SINCE ? 'NONE' : 'VERSION_GATE';
}

/** Works out the gates for one message. */
export function gatesFor(input: GateInput): Gates {
  const escrowing = input.policies.filter((policy) => policy.mode !== 'OBSERVE');
  const some = (test: (policy: PolicyRow) => boolean): ItemReason =>
    escrowing.some(test) ? 'NONE' : 'POLICY_REFUSED';
  const version = versionGate(input.siteVersion);
  const secret: ItemReason = input.mayStore ? 'NONE' : 'NO_CERTIFICATE';
  return {
    noPolicy: input.policies.length === 0,
    observeOnly: escrowing.length === 0,
    volume(type) {
      return first(
        version,
        some((policy) => type !== 'REMOVABLE' || policy.removableDrives),
      );
    },
    secret,
    keyPackage: some((policy) => policy.storePackages),
    tpmOwnerAuth: first(
      version,
      some((policy) => policy.tpmOwnerAuth),
      secret,
    ),
  };
}

/** The first reason that is not NONE. */
export function first(...reasons: readonly ItemReason[]): ItemReason {
  return reasons.find((reason) => reason !== 'NONE') ?? 'NONE';
}
