"""A file system of one file, `f`, by FUSE: hanging-disk.py <mount point> <file with its bytes>. A line "hang" on standard input has reads wait, "go on" answers them;
end of input unmounts. Each line is answered by one."""

import ctypes
import os
import select
import signal
import struct
import sys

ENOENT, ENOSYS = 2, 38
LOOKUP, FORGET, GETATTR, OPEN, READ, RELEASE, FLUSH, INIT, INTERRUPT, BATCH_FORGET = 1, 2, 3, 14, 15, 18, 25, 26, 36, 42
ROOT, FILE = 1, 2
LAZY_UNMOUNT = 2


def attributes(node, size):
    mode = 0o40755 if node == ROOT else 0o100644
    return struct.pack("<6Q10I", node, size if node == FILE else 0, 0, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


def answer(content, opcode, node, body):
    """The answer's body, or an errno."""
    if opcode == INIT:
        return struct.pack("<4I2H2I2HI28x", 7, 31, 131072, 0, 16, 12, 131072, 1, 32, 0, 0)
    if opcode == LOOKUP:
        if body.rstrip(b"\0") != b"f":
            return ENOENT
        return struct.pack("<4Q2I", FILE, 0, 3600, 3600, 0, 0) + attributes(FILE, len(content))
    if opcode == GETATTR:
        return struct.pack("<Q2I", 3600, 0, 0) + attributes(node, len(content))
    if opcode == OPEN:
        return struct.pack("<Q2I", 1, 0, 0)
    if opcode == READ:
        _, offset, size = struct.unpack_from("<2QI", body)
        return content[offset : offset + size]
    return b"" if opcode in (RELEASE, FLUSH) else ENOSYS


def main():
    mount_point, source = sys.argv[1:]
    # It ends with its input, so that it can unmount.
    for ended in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ended, signal.SIG_IGN)
    with open(source, "rb") as file:
        content = file.read()
    device = os.open("/dev/fuse", os.O_RDWR)
    libc = ctypes.CDLL(None, use_errno=True)
    data = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
    if libc.mount(b"alluxio-test", mount_point.encode(), b"fuse", 0, data) != 0:
        sys.exit(f"cannot mount: {os.strerror(ctypes.get_errno())}")
    hangs = False
    waiting = []
    print("mounted", flush=True)
    while True:
        ready, _, _ = select.select([device, sys.stdin], [], [])
        if sys.stdin in ready:
            line = sys.stdin.readline().strip()
            if not line:
                break
            hangs = line == "hang"
            if not hangs:
                for reply in waiting:
                    os.write(device, reply)
                waiting = []
            print("ok", flush=True)
        if device in ready:
            request = os.read(device, 1 << 20)
            _, opcode, unique, node = struct.unpack_from("<2I2Q", request)
            if opcode in (FORGET, BATCH_FORGET, INTERRUPT):
                continue
            body = answer(content, opcode, node, request[40:])
            error, body = (-body, b"") if isinstance(body, int) else (0, body)
            reply = struct.pack("<IiQ", 16 + len(body), error, unique) + body
            if hangs and opcode == READ:
                waiting.append(reply)
            else:
                os.write(device, reply)
    # Whoever still waits gets an error with the end of this process.
    libc.umount2(mount_point.encode(), LAZY_UNMOUNT)


main()
