import type { ServiceContext } from '../../service/context.js';
import type { Portal } from '../../sign-in/session.js';
import { FormBody, guidOrNull } from '../form-body.js';
import type { PageRequest, PageRoutes } from '../page-routes.js';
import { RotationPage } from '../pages/rotation.js';
import { sendPage, sendPageError } from '../render.js';
import type { RotationLine } from '../../services.js';

/** How the rotation of a shown key stands, as a page or, for the script, as its part alone. */
export function rotationWatch(routes: PageRoutes, portal: Portal, context: ServiceContext): void {
  routes.get(`/${portal}/rotation/:requestId`, 'rotation.watch', async (page) => {
    const { reply, frame, request } = page;
    const { requestId } = request.params as { requestId: string };
    const line = await lineOf(page, context, requestId);
    if (line === null) return sendPageError(reply, frame, { kind: 'not-found' });

    return sendPage(reply, <RotationPage frame={frame} line={line} keyHidden={false} />);
  });
  routes.get(`/${portal}/hidden`, 'rotation.watch', async (page) => {
    const id = new FormBody(page.request.query).text('rotation');
    const line = id === '' ? null : await lineOf(page, context, id);
    return sendPage(page.reply, <RotationPage frame={page.frame} line={line} keyHidden />);
  });
}

async function lineOf(
  { caller }: PageRequest,
  { services }: ServiceContext,
  text: string,
): Promise<RotationLine | null> {
  const requestId = guidOrNull(text);
  return requestId === null ? null : services.rotations.watch(caller, requestId);
}
