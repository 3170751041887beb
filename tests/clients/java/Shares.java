// SPDX-License-Identifier: Apache-2.0
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.locks.ReentrantLock;

/**
 * A program whose shares are known: seven tenths of its work are burnLong's, three burnShort's; another thread allocates,
 * two want one monitor, and two one lock, for which they park. The argument is for how many seconds.
 */
public final class Shares {
    private static final Object LOCK = new Object();
    private static final ReentrantLock QUEUE = new ReentrantLock();
    private static volatile boolean isOver;
    private static volatile long sink;

    // No compiler may put one loop in the place of both calls: each has one of its own.
    static void burnLong() {
        long sum = sink;
        for (int i = 0; i < 7_000_000; i++)
            sum = sum * 6364136223846793005L + i;
        sink = sum;
    }

    static void burnShort() {
        long sum = sink;
        for (int i = 0; i < 3_000_000; i++)
            sum = sum * 6364136223846793005L + i;
        sink = sum;
    }

    static void allocate() {
        List<byte[]> kept = new ArrayList<>();
        for (int i = 0; i < 64; i++)
            kept.add(new byte[64 << 10]);
        sink += kept.size();
    }

    static void hold() throws InterruptedException {
        synchronized (LOCK) {
            Thread.sleep(20);
        }
    }

    static void park() throws InterruptedException {
        QUEUE.lock();
        try {
            Thread.sleep(20);
        } finally {
            QUEUE.unlock();
        }
    }

    private interface Step {
        void run() throws InterruptedException;
    }

    private static Thread start(String name, Step step) {
        Thread thread = new Thread(() -> {
            try {
                while (!isOver)
                    step.run();
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }, name);
        thread.start();
        return thread;
    }

    public static void main(String[] arguments) throws InterruptedException {
        long end = System.nanoTime() + Long.parseLong(arguments[0]) * 1_000_000_000L;
        List<Thread> threads = List.of(start("allocator", () -> { allocate(); Thread.sleep(5); }), start("holder-1", Shares::hold),
            start("holder-2", Shares::hold), start("parker-1", Shares::park),
            start("parker-2", Shares::park));

        while (System.nanoTime() < end) {
            burnLong();
            burnShort();
        }
        isOver = true;
        for (Thread thread : threads)
            thread.join();
        System.out.println("worked " + (sink & 1));
    }
}
