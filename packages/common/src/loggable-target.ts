/** The target of a request as the log may have it: signed requests carry secrets in their query, and a log is read by many. */

/** A signature, a session token or a key, whichever API it belongs to. */
const secretName = /signature|token|secret|password|credential|access-?key|authorization/i;

/** Tokens that only say where a listing goes on. */
const harmlessNames: readonly string[] = ['continuation-token'];

const targetMaxLength = 2048;

/** The values of parameters that sound like secrets become `xxx`, a password before the host goes, and what is too long is cut. */
export function loggableTarget(target: string): string {
  const questionMark = target.indexOf('?');
  const path = (questionMark < 0 ? target : target.slice(0, questionMark)).replace(
    /^([a-z][a-z0-9+.-]*:\/\/)[^/]*@/i,
    '$1',
  );
  if (questionMark < 0) return path.slice(0, targetMaxLength);
  const pairs = target
    .slice(questionMark + 1)
    .split('&')
    .map((pair) => {
      const equals = pair.indexOf('=');
      return equals >= 0 && isSecret(pair.slice(0, equals)) ? `${pair.slice(0, equals)}=xxx` : pair;
    });
  return `${path}?${pairs.join('&')}`.slice(0, targetMaxLength);
}

function isSecret(encodedName: string): boolean {
  let name = encodedName;
  try {
    name = decodeURIComponent(encodedName);
  } catch {
    // Taken as it stands.
  }
  return secretName.test(name) && !harmlessNames.includes(name.toLowerCase());
}
