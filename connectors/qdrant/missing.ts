import { Retry } from '../../streams/errors.ts'

/** The collection does not exist (any more). */
export class Missing extends Retry {
  override name = 'Missing'
}
