/** Requests, one character a byte, that the differential fuzz begins with; those in which it found something belong here too. */
export const requestSeeds: readonly string[] = [
  'GET /a HTTP/1.1\r\nhost: h\r\n\r\n',
  'GET /a?x=1&y=%2F HTTP/1.1\r\nHost: h\r\nRange: bytes=0-9\r\nIf-None-Match: "v1"\r\n\r\n',
  'HEAD /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n',
  'GET http://h/a HTTP/1.1\r\nhost: h\r\n\r\n',
  'PUT /a HTTP/1.1\r\nhost: h\r\nContent-Length: 5\r\n\r\nhello',
  'PUT /a HTTP/1.1\r\nhost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nx-a: 1\r\n\r\n',
  'POST /a HTTP/1.1\r\nhost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok',
  'GET /a HTTP/1.1\r\nhost: h\r\nx-a: 1\r\nX-A: \xe9\t2 \r\nx-b:\r\n\r\nDELETE /b HTTP/1.1\r\nhost: h\r\n\r\n',
  '\r\nOPTIONS * HTTP/1.1\r\nhost: h\r\nConnection: close, te\r\n\r\n',
  'GET /a HTTP/1.1\r\nhost: h\r\nx-a: 1\nx-b:\r\n\r\n',
  'HEAD "a HTTP/1.0\r\n\r\n',
  'GET http://h"a HTTP/1.1\r\nhost: h\r\n\r\n',
  'PUT /a HTTP/1.1\r\nhost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;\r\nhello\r\n0\r\nConnection: close\r\n\r\n',
];
