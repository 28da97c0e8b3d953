import type { ItemReason, JoinType, VolumeType } from '../protocol/vocabulary.js';
import { effectivePolicy, type EffectivePolicy } from '../store/policies-for.js';
import type { PolicyRow } from '../store/site-store.js';

/**
 * What a site takes from a client over a channel. A gate refuses items, never a whole message,
 * except where no policy takes anything.
 */
export interface Gates {
  /** The policies of the client put together; null where none applies. */
  readonly policy: EffectivePolicy | null;
  /** No policy applies: nothing is taken, not even a check-in. */
  readonly noPolicy: boolean;
  /** A policy applies, but only to look: no secret is taken. */
  readonly observeOnly: boolean;
  /** NONE, or why a volume of this type is not taken. */
  volume(type: VolumeType): ItemReason;
  /** NONE, or why no secret of any kind is taken. */
  readonly secret: ItemReason;
  /** NONE, or why key packages are not taken; they come with a volume that is. */
  readonly keyPackage: ItemReason;
  /** NONE, or why TPM owner authorizations are not taken. */
  readonly tpmOwnerAuth: ItemReason;
}

/** Over which way a message came: straight to a gateway, or through a cloud management gateway. */
export type MessageChannel = 'INTRANET' | 'CMG';

/** What gates are made of. */
export interface GateInput {
  /** Policies that apply to the client: something is taken where any of them takes it. */
  readonly policies: readonly PolicyRow[];
  /** Of the client; says in which rings it is. Default: none. */
  readonly tag?: string;
  /** e.g. '2503'; text that is no number counts as current. */
  readonly siteVersion: string;
  /** A certificate is named in the site document, or it consents to plain text. */
  readonly mayStore: boolean;
  /** Default: INTRANET. */
  readonly channel?: MessageChannel;
  /** Of the client's registration; default: not reported. */
  readonly joinType?: JoinType;
}

/** First version that takes anything at all: over a cloud management gateway, from some. */
const FIRST = 2010;
/** First version that takes everything from every client, over HTTPS or enhanced HTTP. */
const EVERYTHING_SINCE = 2103;

type GatedKind = VolumeType | 'TPM_OWNER_AUTH';

/**
 * Before 2010 the original takes no escrow. 2010 takes OS and fixed volumes over a cloud management
 * gateway alone, from machines of a directory (joined to it, or hybrid); from a machine that does not
 * say how it is joined, nothing is refused for that.
 */
function versionGate(input: GateInput, kind: GatedKind): ItemReason {
  const version = Number.parseInt(input.siteVersion, 10);
  if (!Number.isFinite(version) || version >= EVERYTHING_SINCE) return 'NONE';
  if (version < FIRST || input.channel !== 'CMG') return 'VERSION_GATE';
  if (input.joinType === 'WORKGROUP' || input.joinType === 'ENTRA') return 'VERSION_GATE';
  return kind === 'OS' || kind === 'FIXED' ? 'NONE' : 'VERSION_GATE';
}

/** Works out the gates for one message. */
export function gatesFor(input: GateInput): Gates {
  const policy = effectivePolicy(input.policies, { tag: input.tag ?? '' });
  const escrows = policy !== null && policy.mode !== 'OBSERVE';
  const takes = (taken: boolean): ItemReason => (escrows && taken ? 'NONE' : 'POLICY_REFUSED');
  const secret: ItemReason = input.mayStore ? 'NONE' : 'NO_CERTIFICATE';
  return {
    policy,
    noPolicy: policy === null,
    observeOnly: !escrows,
    volume(type) {
      return first(versionGate(input, type), takes(type !== 'REMOVABLE' || policy?.removableDrives === true));
    },
    secret,
    keyPackage: takes(policy?.storePackages === true),
    tpmOwnerAuth: first(versionGate(input, 'TPM_OWNER_AUTH'), takes(policy?.tpmOwnerAuth === true), secret),
  };
}

/** The first reason that is not NONE. */
export function first(...reasons: readonly ItemReason[]): ItemReason {
  return reasons.find((reason) => reason !== 'NONE') ?? 'NONE';
}
