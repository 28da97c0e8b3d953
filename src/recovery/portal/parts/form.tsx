import type { Child } from 'hono/jsx';
import type { View } from './view.js';

/** Names of form fields that pages and routes share. */
export const CSRF_FIELD = 'csrf';

/** A form that changes or discloses something: always POST, always with the session's token. */
export function PostForm({
  action,
  csrf,
  className,
  label,
  children,
}: {
  readonly action: string;
  readonly csrf: string;
  readonly className?: string;
  readonly label?: string;
  readonly children: Child;
}): View {
  return (
    <form method="post" action={action} class={className ?? 'form'} autocomplete="off" aria-label={label}>
      <input type="hidden" name={CSRF_FIELD} value={csrf} />
      {children}
    </form>
  );
}

interface FieldProps {
  readonly name: string;
  readonly label: string;
  readonly hint?: string;
  readonly optional?: boolean;
  /** Does not say that it is optional: nothing in its form is needed. */
  readonly plain?: boolean;
  /** What is wrong with what was sent. */
  readonly error?: string | undefined;
}

const described = ({ name, hint, error }: FieldProps): string | undefined => {
  const ids = [hint === undefined ? '' : `${name}-hint`, error === undefined ? '' : `${name}-error`];
  const text = ids.filter((id) => id !== '').join(' ');
  return text === '' ? undefined : text;
};

/** Label, hint and error around a control; the control refers to them. */
function Around({ field, children }: { readonly field: FieldProps; readonly children: Child }): View {
  const { name, label, hint, optional, plain, error } = field;
  return (
    <div class="field">
      <label for={name}>
        {label}
        {optional === true && plain !== true ? <span class="optional"> (optional)</span> : null}
      </label>
      {hint === undefined ? null : (
        <span class="hint" id={`${name}-hint`}>
          {hint}
        </span>
      )}
      {children}
      {error === undefined ? null : (
        <span class="field-error" id={`${name}-error`}>
          {error}
        </span>
      )}
    </div>
  );
}

/** One line of text. */
export function TextField(
  props: FieldProps & {
    readonly value?: string | undefined;
    readonly type?: 'text' | 'password' | 'date' | 'number';
    /** Hexadecimal or other code: fixed pitch, no help by dictionaries. */
    readonly code?: boolean;
    readonly autocomplete?: string;
    readonly maxLength?: number;
    readonly min?: number;
    readonly max?: number;
    readonly focus?: boolean;
  },
): View {
  const { name, optional, error, type = 'text' } = props;
  return (
    <Around field={props}>
      <input
        id={name}
        name={name}
        type={type}
        value={props.value ?? ''}
        class={props.code === true ? 'input-code' : undefined}
        required={optional !== true}
        autocomplete={props.autocomplete ?? 'off'}
        autocapitalize="none"
        spellcheck={false}
        maxlength={props.maxLength ?? (type === 'text' || type === 'password' ? 200 : undefined)}
        min={props.min}
        max={props.max}
        autofocus={props.focus}
        aria-describedby={described(props)}
        aria-invalid={error === undefined ? undefined : 'true'}
      />
    </Around>
  );
}

/** Several lines of text. */
export function TextArea(
  props: FieldProps & { readonly value?: string | undefined; readonly code?: boolean },
): View {
  const { name, optional, error } = props;
  return (
    <Around field={props}>
      <textarea
        id={name}
        name={name}
        rows={5}
        class={props.code === true ? 'input-code' : undefined}
        required={optional !== true}
        spellcheck={false}
        autocapitalize="none"
        aria-describedby={described(props)}
        aria-invalid={error === undefined ? undefined : 'true'}
      >
        {props.value ?? ''}
      </textarea>
    </Around>
  );
}

/** A choice from a list; `placeholder` is the first line, which is no answer. */
export function SelectField(
  props: FieldProps & {
    readonly options: readonly (readonly [value: string, label: string])[];
    readonly value?: string | undefined;
    readonly placeholder?: string;
  },
): View {
  const { name, options, value = '', placeholder, optional, error } = props;
  return (
    <Around field={props}>
      <select
        id={name}
        name={name}
        required={optional !== true}
        aria-describedby={described(props)}
        aria-invalid={error === undefined ? undefined : 'true'}
      >
        {placeholder === undefined ? null : (
          <option value="" selected={value === ''}>
            {placeholder}
          </option>
        )}
        {options.map(([key, label]) => (
          <option value={key} selected={key === value} key={key}>
            {label}
          </option>
        ))}
      </select>
    </Around>
  );
}

/** A box to tick. */
export function CheckField({
  name,
  label,
  hint,
  checked,
  required,
}: {
  readonly name: string;
  readonly label: string;
  readonly hint?: string;
  readonly checked?: boolean;
  readonly required?: boolean;
}): View {
  return (
    <div class="check">
      <input
        type="checkbox"
        id={name}
        name={name}
        value="yes"
        checked={checked}
        required={required}
        aria-describedby={hint === undefined ? undefined : `${name}-hint`}
      />
      <div>
        <label for={name}>{label}</label>
        {hint === undefined ? null : (
          <div class="hint" id={`${name}-hint`}>
            {hint}
          </div>
        )}
      </div>
    </div>
  );
}

/** The button that a form is for. */
export function Submit({
  children,
  tone = 'main',
  small,
}: {
  readonly children: Child;
  readonly tone?: 'main' | 'plain' | 'bad';
  readonly small?: boolean;
}): View {
  const look = tone === 'plain' ? '' : ` button-${tone}`;
  return (
    <button type="submit" class={`button${look}${small === true ? ' button-small' : ''}`}>
      {children}
    </button>
  );
}
