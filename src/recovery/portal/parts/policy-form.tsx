import { POLICY_DEFAULTS } from '../../policy/settings.js';
import type { PolicySettings, PolicySettingsInput } from '../../policy/settings.js';
import type { PolicyDetail } from '../../services.js';
import type { FormBody } from '../form-body.js';
import { CheckField, SelectField, TextArea, TextField } from './form.js';
import type { View } from './view.js';

/** What is typed and ticked, as it stands in the form. */
export interface PolicyForm {
  readonly name: string;
  readonly mode: string;
  readonly tag: string;
  readonly interval: string;
  /** Tags of the rings, one a line. */
  readonly rings: string;
  readonly packages: boolean;
  readonly removable: boolean;
  readonly tpm: boolean;
  readonly mbam: boolean;
  readonly besideOthers: boolean;
}

/** What a setting is called in the form. */
export const POLICY_LABELS = {
  name: ['name', 'Name'],
  mode: ['mode', 'Mode'],
  targetTag: ['tag', 'Tag of its machines'],
  checkIntervalMinutes: ['interval', 'Minutes between checks'],
  rings: ['rings', 'Tags of the rings'],
  ring: ['rings', 'Tags of the rings'],
  mbamMigration: ['mbam', 'MBAM migration'],
} as const;

const MODES = [
  ['OBSERVE', 'Observe: list what there is'],
  ['ESCROW', 'Escrow: store keys'],
  ['MANAGE', 'Manage: store keys and replace them'],
] as const satisfies readonly (readonly [PolicySettings['mode'], string])[];

/** The form of settings; without, as a new policy begins. */
export function formOfPolicy(
  settings: Omit<PolicySettings, 'name' | 'rings'> & {
    readonly name?: string;
    readonly rings: readonly { readonly tag: string }[];
  },
): PolicyForm {
  return {
    name: settings.name ?? '',
    mode: settings.mode,
    tag: settings.targetTag ?? '',
    interval: String(settings.checkIntervalMinutes),
    rings: settings.rings.map(({ tag }) => tag).join('\n'),
    packages: settings.storePackages,
    removable: settings.removableDrives,
    tpm: settings.tpmOwnerAuth,
    mbam: settings.mbamMigration,
    besideOthers: settings.rotateBesideOthers,
  };
}

export const NEW_POLICY: PolicyForm = formOfPolicy(POLICY_DEFAULTS);

/** The form as it was sent. */
export function sentPolicy(body: FormBody): PolicyForm {
  return {
    name: body.text('name', 300),
    mode: body.text('mode'),
    tag: body.text('tag'),
    interval: body.text('interval'),
    rings: body.text('rings', 8000),
    packages: body.ticked('packages'),
    removable: body.ticked('removable'),
    tpm: body.ticked('tpm'),
    mbam: body.ticked('mbam'),
    besideOthers: body.ticked('besideOthers'),
  };
}

/** The settings that a form means. Rings that were there keep what is not in the form. */
export function settingsOfForm(
  form: PolicyForm,
  before: PolicyDetail['rings'],
): PolicySettingsInput & { readonly name: string } {
  return {
    name: form.name,
    // Any other word is judged with the rest.
    mode: form.mode as PolicySettings['mode'],
    targetTag: form.tag === '' ? null : form.tag,
    storePackages: form.packages,
    removableDrives: form.removable,
    tpmOwnerAuth: form.tpm,
    checkIntervalMinutes: form.interval === '' ? Number.NaN : Number(form.interval),
    mbamMigration: form.mbam,
    rotateBesideOthers: form.besideOthers,
    rings: form.rings
      .split(/[\s,;]+/)
      .filter((tag) => tag !== '')
      .map((tag) => {
        const ring = before.find((one) => one.tag === tag);
        if (ring === undefined) return { tag };
        const { opens, failureLimit, soakMinutes, rotationsPerHour } = ring;
        return { tag, opens, failureLimit, soakMinutes, rotationsPerHour };
      }),
  };
}

/** The fields of a policy. */
export function PolicyFields({
  form,
  errors,
}: {
  readonly form: PolicyForm;
  readonly errors: Readonly<Record<string, string>>;
}): View {
  return (
    <>
      <div class="field-pair">
        <TextField name="name" label="Name" value={form.name} maxLength={256} error={errors['name']} />
        <SelectField name="mode" label="Mode" options={MODES} value={form.mode} error={errors['mode']} />
      </div>
      <div class="field-pair">
        <TextField
          name="tag"
          label="Tag of its machines"
          hint="Empty: all machines, or those of the rings."
          value={form.tag}
          maxLength={64}
          optional
          error={errors['tag']}
        />
        <TextField
          name="interval"
          label="Minutes between checks"
          hint="1 to 2880; below 60 costs the site much."
          type="number"
          min={1}
          max={2880}
          value={form.interval}
          error={errors['interval']}
        />
      </div>
      <TextArea
        name="rings"
        label="Tags of the rings"
        hint="In their order, one a line; empty: no rings. Limits and pace of a ring: mpe policy set."
        value={form.rings}
        optional
        code
        error={errors['rings']}
      />
      <fieldset class="field">
        <legend>What is stored</legend>
        <CheckField name="packages" label="Key packages too" checked={form.packages} />
        <CheckField name="removable" label="Keys of removable drives" checked={form.removable} />
        <CheckField name="tpm" label="TPM passwords" checked={form.tpm} />
      </fieldset>
      <fieldset class="field">
        <legend>What is replaced</legend>
        <CheckField
          name="mbam"
          label="MBAM migration"
          hint="Takes what MBAM stored, counts it as exposed, and has it replaced ring by ring."
          checked={form.mbam}
        />
        <CheckField
          name="besideOthers"
          label="Replace keys although another manager is there too"
          hint="MBAM, a group policy or Intune is left with an old key then."
          checked={form.besideOthers}
        />
      </fieldset>
    </>
  );
}
