import { MpeError } from '../../../ops/errors.js';
import type { ServiceContext } from '../../service/context.js';
import type { PolicyLine } from '../../services.js';
import type { FormBody } from '../form-body.js';
import type { PageRoutes } from '../page-routes.js';
import { change } from './change.js';

const HOME = '/administration/policy';

/** What operators change of policies and rings. */
export function changePolicies(routes: PageRoutes, { services }: ServiceContext): void {
  change(routes, HOME, 'policy.change', HOME, async (body, { caller }) =>
    services.policies.set(caller, policyOf(body)),
  );
  change(routes, '/administration/rings', 'policy.change', HOME, async (body, { caller }) => {
    const wanted = body.text('change');
    if (wanted !== 'PAUSE' && wanted !== 'RESUME')
      throw new MpeError('VALUE_INVALID', 'a ring is paused or resumed');
    return services.policies.setRing(caller, body.text('ring'), wanted);
  });
}

function policyOf(body: FormBody): Omit<PolicyLine, 'policyId'> {
  const mode = body.text('mode');
  if (mode !== 'OBSERVE' && mode !== 'ESCROW' && mode !== 'MANAGE')
    throw new MpeError('VALUE_INVALID', 'the mode of a policy is observe, escrow or manage');
  const tag = body.text('tag', 64);
  return {
    name: body.text('name', 100),
    mode,
    targetTag: tag === '' ? null : tag,
    storePackages: body.ticked('packages'),
    removableDrives: body.ticked('removable'),
    tpmOwnerAuth: body.ticked('tpm'),
    checkIntervalMinutes: Number(body.text('interval')),
    mbamMigration: body.ticked('mbam'),
  };
}
