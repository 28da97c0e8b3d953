import type { FastifyRequest } from 'fastify';
import { isMpeError } from '../../ops/errors.js';
import { parseGuid, type Guid } from '../../protocol/guid.js';

/** The one type of body that pages send. */
export const FORM_TYPE = 'application/x-www-form-urlencoded';

/** A form or query as a page sends it. Absent fields are empty, repeated ones their first. */
export class FormBody {
  readonly #fields: Readonly<Record<string, unknown>>;

  constructor(fields: unknown) {
    this.#fields = typeof fields === 'object' && fields !== null ? { ...fields } : {};
  }

  static of(request: FastifyRequest): FormBody {
    return new FormBody(request.body);
  }

  /** One field, without blanks around it, cut at `max` characters. */
  text(name: string, max = 200): string {
    const value = this.#fields[name];
    const first: unknown = Array.isArray(value) ? value[0] : value;
    return typeof first === 'string' ? first.trim().slice(0, max) : '';
  }

  /** Whether a box was ticked. */
  ticked(name: string): boolean {
    return this.text(name) === 'yes';
  }

  /** A GUID, or null where there is none. */
  guid(name: string): Guid | null {
    return guidOrNull(this.text(name));
  }
}

/** Reads a GUID; null where it is none. */
export function guidOrNull(text: string): Guid | null {
  try {
    return parseGuid(text);
  } catch (error) {
    if (isMpeError(error, 'VALUE_INVALID')) return null;
    throw error;
  }
}
