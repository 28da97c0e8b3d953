import type { DisclosureRefusal } from '../services.js';

/** What a refusal is called on a page, and the status that goes with it. */
export function refusalTitle(refusal: DisclosureRefusal): readonly [title: string, status: number] {
  switch (refusal) {
    case 'NOT_ALLOWED':
      return ['Not for your role', 403];
    case 'NOT_FOUND':
      return ['No such key', 404];
    case 'AMBIGUOUS':
      return ['More than one key', 409];
    case 'USER_REQUIRED':
      return ['The user is missing', 403];
    case 'USER_UNRELATED':
      return ['Not a key of this user', 403];
    case 'NOT_OWN_MACHINE':
      return ['Not a key of your computers', 403];
    case 'REASON_INVALID':
      return ['The reason is missing', 400];
    case 'REQUEST_INVALID':
      return ['That was not understood', 400];
    case 'LIMIT_REACHED':
      return ['Too many keys in one hour', 429];
    case 'NOT_PROVIDED':
      return ['It was never stored', 404];
    case 'KEY_VERSION_UNAVAILABLE':
      return ['The key cannot be opened here', 503];
    case 'DAMAGED':
      return ['The stored key cannot be read', 503];
    case 'AUDIT_UNAVAILABLE':
      return ['No key without its record', 503];
  }
}
