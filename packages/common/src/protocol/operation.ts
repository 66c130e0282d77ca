/**
 * One call of a HTTP API as data. From a table of these the server has its routes and its checks, the client its types, and the OpenAPI document its
 * text, so that none of them can say something else than the others.
 */

import type { z } from 'zod';
import type { ErrorBody } from './error-body.ts';

export interface Operation {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly path: string;
  /** The heading under which it is documented. */
  readonly tag: string;
  /** One line, without a full stop. */
  readonly summary: string;
  /** Whether it changes something: it then needs the admin token. */
  readonly changes: boolean;
  /**
   * Fields of query and body by which the audit log says what a changing call was about. Texts or lists of texts, and never one that can hold a secret.
   */
  readonly about?: readonly string[];
  /** A member of the cluster may make the call with its mark (`peer-mark.ts`) instead of the token. */
  readonly allowsPeer?: true;
  /** Of texts: a query has nothing else. */
  readonly query?: z.ZodType;
  readonly body?: z.ZodType;
  /** How an error calls the body: `the rule`. */
  readonly bodyName?: string;
  /** Status of success. */
  readonly status: 200 | 201;
  /** What success answers, as JSON. */
  readonly answer: z.ZodType;
  /** The answer is a text of this type instead, and its schema one of strings. */
  readonly textType?: string;
  /** Answers of other statuses that are no errors of the catalogue: given by the handler as an `OtherAnswer`. */
  readonly furtherAnswers?: Readonly<Record<number, FurtherAnswer>>;
  /** How this operation tells a failure; without it by `errorBodySchema`. */
  readonly errorBody?: ErrorShape;
}

export interface FurtherAnswer {
  readonly meaning: string;
  readonly answer: z.ZodType;
}

/**
 * A shape of errors that is not ours: somebody else's clients read it. The status stays that of the catalogue. Our client knows the failure again where the
 * fields of `errorBodySchema` stand beside the others.
 */
export interface ErrorShape {
  readonly schema: z.ZodType;
  readonly of: (failure: ErrorBody) => unknown;
}

export type OperationTable = Readonly<Record<string, Operation>>;

/** What a handler is given: checked, with defaults filled in. */
export type QueryOf<Call extends Operation> = Call extends { readonly query: infer Schema extends z.ZodType }
  ? z.output<Schema>
  : undefined;
export type BodyOf<Call extends Operation> = Call extends { readonly body: infer Schema extends z.ZodType }
  ? z.output<Schema>
  : undefined;

/** What a caller has to give. */
export type GivenQueryOf<Call extends Operation> = Call extends {
  readonly query: infer Schema extends z.ZodType;
}
  ? Unchanging<z.input<Schema>>
  : undefined;
export type GivenBodyOf<Call extends Operation> = Call extends {
  readonly body: infer Schema extends z.ZodType;
}
  ? Unchanging<z.input<Schema>>
  : undefined;

export type AnswerOf<Call extends Operation> = Unchanging<z.output<Call['answer']>>;

export type OtherAnswerOf<Call extends Operation> = Call extends {
  readonly furtherAnswers: infer Answers extends Readonly<Record<number, FurtherAnswer>>;
}
  ? {
      readonly [Status in keyof Answers & number]: OtherAnswer<
        Status,
        Unchanging<z.output<Answers[Status]['answer']>>
      >;
    }[keyof Answers & number]
  : never;

/** What a handler resolves with instead of the usual answer. */
export class OtherAnswer<Status extends number, Answer> {
  readonly status: Status;
  readonly answer: Answer;

  constructor(status: Status, answer: Answer) {
    this.status = status;
    this.answer = answer;
  }
}

/** What the schema describes, all the way down read-only. */
export type Unchanging<Value> = Value extends readonly (infer Element)[]
  ? readonly Unchanging<Element>[]
  : Value extends object
    ? { readonly [Name in keyof Value]: Unchanging<Value[Name]> }
    : Value;
