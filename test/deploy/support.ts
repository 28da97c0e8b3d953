import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { ROOT } from '../support/engine-process.js';

export const DEPLOY = join(ROOT, 'deploy');

/** A mount in the long form. */
export interface Mount {
  readonly type: string;
  readonly source: string;
  readonly target: string;
  readonly read_only?: boolean;
  readonly bind?: { readonly create_host_path?: boolean };
}

/** What a test reads of a service. */
export interface Service {
  readonly image: string;
  readonly command?: readonly string[];
  readonly entrypoint?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly secrets?: readonly string[];
  readonly volumes?: readonly (string | Mount)[];
  readonly networks: readonly string[];
  readonly ports?: readonly string[];
  readonly user?: string;
  readonly read_only?: boolean;
  readonly cap_drop?: readonly string[];
  readonly security_opt?: readonly string[];
  readonly restart?: string;
  readonly stop_grace_period?: string;
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly deploy?: { readonly replicas?: number };
  readonly profiles?: readonly string[];
}

/** compose.yaml, its anchors and merges resolved. */
export interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly networks: Readonly<Record<string, { readonly internal?: boolean }>>;
  readonly volumes: Readonly<Record<string, unknown>>;
  readonly secrets: Readonly<Record<string, { readonly file: string }>>;
}

/** Reads a file as compose does: with merge keys, and a doubled key is an error. */
export function readCompose(name = 'compose.yaml'): Compose {
  const text = readFileSync(join(DEPLOY, name), 'utf8');
  return parse(text, { merge: true, uniqueKeys: true, strict: true }) as Compose;
}

/** What `${NAME:-default}` becomes where no variable is set. */
export function withDefaults(text: string): string {
  return text.replaceAll(/\$\{[A-Z_]+:-([^}]*)\}/g, '$1');
}

/** Makes the secrets as an operator does. */
export function makeSecrets(folder: string): void {
  execFileSync('sh', [join(DEPLOY, 'make-secrets.sh'), folder], { stdio: 'pipe' });
}

/** Milliseconds of a compose duration such as `45s`. */
export function millisecondsOf(duration: string | undefined): number {
  const match = /^(\d+)(s|m)$/.exec(duration ?? '');
  return match === null ? 0 : Number(match[1]) * (match[2] === 'm' ? 60_000 : 1000);
}
