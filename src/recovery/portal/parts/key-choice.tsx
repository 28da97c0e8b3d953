import type { KeyLine } from '../../services.js';
import { Holders, KeyBadges, KeyId, volumeName } from './key-state.js';
import type { View } from './view.js';
import { When } from './when.js';

/** Which key a form means: key ID, volume, and whether a package is stored. */
export interface KeyChoice {
  readonly keyId: string;
  readonly volumeId: string;
  readonly hasPackage: boolean;
}

/** As a form field carries it. */
export function choiceValue({ keyId, volumeId, hasPackage }: KeyChoice): string {
  return `${keyId} ${volumeId} ${hasPackage ? 'package' : 'plain'}`;
}

/** Reads what {@link choiceValue} wrote; null where somebody wrote something else. */
export function readChoice(text: string): KeyChoice | null {
  const found = /^([0-9a-f-]{36}) ([0-9a-f-]{36}) (package|plain)$/.exec(text);
  const [, keyId, volumeId, kind] = found ?? [];
  if (keyId === undefined || volumeId === undefined) return null;
  return { keyId, volumeId, hasPackage: kind === 'package' };
}

/** The keys that were found, one to be chosen; never a recovery password. */
export function KeyChoices({
  legend,
  keys,
}: {
  readonly legend: string;
  readonly keys: readonly KeyLine[];
}): View {
  return (
    <fieldset class="field">
      <legend>{legend}</legend>
      <div class="stack-tight">
        {keys.map((line, index) => (
          <div class="choice" key={`${line.keyId} ${line.volumeId}`}>
            <input
              type="radio"
              id={`key-${index}`}
              name="key"
              value={choiceValue(line)}
              checked={keys.length === 1}
              required
              aria-describedby={`key-${index}-facts`}
            />
            <div class="stack-tight">
              <label for={`key-${index}`}>
                <KeyId id={line.keyId} />
              </label>
              <div id={`key-${index}-facts`} class="stack-tight small">
                <span>
                  {volumeName(line.volumeType)}
                  {line.driveLabel === '' ? null : (
                    <>
                      {' '}
                      <bdi>{line.driveLabel}</bdi>
                    </>
                  )}{' '}
                  of <Holders line={line} />
                </span>
                <span class="soft">
                  Stored <When atMs={line.firstStoredAtMs} />, last sent by a machine{' '}
                  <When atMs={line.lastProvenAtMs} />
                  {line.hasPackage ? ', with key package' : ''}
                </span>
                <KeyBadges line={line} />
              </div>
            </div>
          </div>
        ))}
      </div>
    </fieldset>
  );
}
