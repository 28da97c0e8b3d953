import { may, type Operation, type Person } from '../../roles.js';
import type { View } from './view.js';

/** A page below a section. */
export interface SubPage {
  readonly href: string;
  readonly label: string;
  readonly operation: Operation;
}

export const REPORT_PAGES: readonly SubPage[] = [
  { href: '/reports/audit', label: 'Recovery audit', operation: 'audit.report' },
  { href: '/reports/coverage', label: 'Coverage', operation: 'coverage.report' },
];

export const ADMINISTRATION_PAGES: readonly SubPage[] = [
  { href: '/administration/rotations', label: 'Rotations', operation: 'rotation.list' },
  { href: '/administration/policy', label: 'Policy and rings', operation: 'policy.read' },
  { href: '/administration/clients', label: 'Pending clients', operation: 'client.list' },
  {
    href: '/administration/management-points',
    label: 'Management points',
    operation: 'management-point.list',
  },
  { href: '/administration/incidents', label: 'Incidents', operation: 'incident.list' },
  { href: '/administration/accounts', label: 'Local accounts', operation: 'people.list' },
];

/** Those that somebody may open. */
export function openPages(pages: readonly SubPage[], person: Person): readonly SubPage[] {
  return pages.filter(({ operation }) => may(person, operation, 'other'));
}

/** The pages of a section that the person may open. */
export function SubNav({
  label,
  pages,
  person,
  here,
}: {
  readonly label: string;
  readonly pages: readonly SubPage[];
  readonly person: Person | null;
  readonly here: string;
}): View {
  return (
    <nav aria-label={label} class="sub-nav">
      <ul>
        {(person === null ? [] : openPages(pages, person)).map((page) => (
          <li key={page.href}>
            <a href={page.href} aria-current={page.href === here ? 'page' : undefined}>
              {page.label}
            </a>
          </li>
        ))}
      </ul>
    </nav>
  );
}
