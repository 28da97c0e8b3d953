import type { Form } from './forms.js';

/** One setting. */
export interface Setting<T> {
  readonly form: Form<T>;
  /** As it would stand in the environment; null: computed (see `defaultNote`) or absent. */
  readonly fallback: string | null;
  /** What stands in the documents where the default is computed. */
  readonly defaultNote?: string;
  readonly about: string;
  /** May hold a password: `NAME_FILE` names a file that holds the value. */
  readonly byFile?: true;
  /** Refused unless the site was made with `--test-site`. */
  readonly testSitesOnly?: true;
}

/** Keeps the type of a setting's value in the table. */
export const setting = <T>(definition: Setting<T>): Setting<T> => definition;
