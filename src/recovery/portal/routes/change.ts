import { isMpeError } from '../../../ops/errors.js';
import type { Operation } from '../../roles.js';
import { FormBody } from '../form-body.js';
import type { PageHandler, PageRequest, PageRoutes } from '../page-routes.js';
import { sentence } from '../parts/sentence.js';
import { sendPageError } from '../render.js';

/**
 * A form that changes something and leads to a page afterwards. A value that breaks its rule is
 * answered with a page that says which.
 */
export function change(
  routes: PageRoutes,
  path: string,
  operation: Operation,
  next: string,
  work: (body: FormBody, page: PageRequest) => Promise<unknown>,
): void {
  const handler: PageHandler = async (page) => {
    try {
      await work(FormBody.of(page.request), page);
    } catch (error) {
      if (!isMpeError(error, 'VALUE_INVALID') && !isMpeError(error, 'USAGE')) throw error;
      return sendPageError(page.reply, page.frame, { kind: 'bad-request', detail: sentence(error.message) });
    }
    return page.reply.redirect(next, 303);
  };
  routes.post(path, operation, handler);
}
