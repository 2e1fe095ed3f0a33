/*
 * C++ in the kernel: exceptions through many frames, from threads and out of noexcept functions, RTTI, thread-local objects
 * with destructors, containers and strings. n=NUMBER on the kernel's command line: exceptions thrown in a loop.
 */
#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <typeinfo>
#include <unordered_map>
#include <variant>
#include <vector>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ukl.h>

static int wrong;
static int checks;

static void check(bool holds, const char *what)
{
	checks++;
	if (!holds) {
		wrong++;
		printf("exceptions: FAILED: %s\n", what);
	}
}

/* Counts its objects: an exception must destroy those of every frame it leaves. */
struct counted {
	static inline int alive;
	counted() { alive++; }
	counted(const counted &) { alive++; }
	~counted() { alive--; }
};

struct failure : std::runtime_error {
	counted member;
	int depth;
	failure(const std::string &text, int depth) : std::runtime_error(text), depth(depth) {}
};

__attribute__((noinline)) static int descend(int depth)
{
	counted here;
	std::string text = "at depth " + std::to_string(depth);

	if (depth == 0)
		throw failure(text, depth);
	return descend(depth - 1) + (int)text.size();
}

static void through_frames(void)
{
	for (int depth : { 0, 1, 20, 500 }) {
		bool caught = false;

		try {
			descend(depth);
		} catch (const std::exception &e) {
			caught = !strcmp(e.what(), "at depth 0");
		}
		check(caught, "a derived exception is caught as its base");
		check(counted::alive == 0, "every frame's objects are destroyed");
	}
}

static void rethrown(void)
{
	int passed = 0;

	try {
		try {
			try {
				throw 42;
			} catch (const char *) {
				check(false, "an int is no text");
			} catch (...) {
				passed++;
				throw;
			}
		} catch (int &value) {
			passed++;
			value++;
			throw;
		}
	} catch (int value) {
		check(value == 43 && passed == 2, "rethrown, the same object");
	}
	std::exception_ptr kept;
	try {
		std::throw_with_nested(std::logic_error("outer"));
	} catch (...) {
		kept = std::current_exception();
	}
	try {
		std::rethrow_exception(kept);
	} catch (const std::logic_error &e) {
		check(!strcmp(e.what(), "outer"), "kept and thrown again");
	}
}

static void from_libraries(void)
{
	std::vector<int> some = { 1, 2, 3 };
	int caught = 0;

	try {
		(void)some.at(3);
	} catch (const std::out_of_range &) {
		caught++;
	}
	try {
		(void)std::string("abc").substr(4);
	} catch (const std::out_of_range &) {
		caught++;
	}
	try {
		(void)std::stoi("no number");
	} catch (const std::invalid_argument &) {
		caught++;
	}
	try {
		volatile size_t size = (size_t)1 << 60;
		std::vector<char> much(size);
	} catch (const std::bad_alloc &) {
		caught++;
	}
	try {
		(void)std::get<int>(std::variant<int, long>(5L));
	} catch (const std::bad_variant_access &) {
		caught++;
	}
	try {
		std::function<void()>()();
	} catch (const std::bad_function_call &) {
		caught++;
	}
	check(caught == 6, "exceptions that the library throws");
}

struct base {
	virtual ~base() = default;
	virtual int number() const { return 1; }
};

struct left : virtual base {
	int number() const override { return 2; }
};

struct right : virtual base {
};

struct both : left, right {
};

static void types(void)
{
	std::unique_ptr<base> object = std::make_unique<both>();
	std::unique_ptr<base> other = std::make_unique<right>();

	check(typeid(*object) == typeid(both) && typeid(*other) != typeid(both), "typeid of the whole object");
	check(dynamic_cast<right *>(object.get()) && !dynamic_cast<left *>(other.get()), "dynamic_cast across a diamond");
	check(object->number() == 2 && other->number() == 1, "virtual functions");
	bool caught = false;
	try {
		(void)dynamic_cast<left &>(*other);
	} catch (const std::bad_cast &) {
		caught = true;
	}
	check(caught, "dynamic_cast of a reference throws");
}

static std::mutex lock;
static std::vector<std::string> ended;

/* One for each thread that uses it, destroyed at that thread's end. */
struct diary {
	std::string text = "diary of";
	~diary()
	{
		std::lock_guard<std::mutex> guard(lock);
		ended.push_back(text);
	}
};

static thread_local diary mine;

static void from_threads(void)
{
	constexpr int THREADS = 8;
	std::vector<std::thread> threads;
	std::map<int, std::exception_ptr> thrown;

	for (int i = 0; i < THREADS; i++) {
		threads.emplace_back([i, &thrown] {
			mine.text += " " + std::to_string(i);
			try {
				descend(10 + i);
			} catch (...) {
				std::lock_guard<std::mutex> guard(lock);
				thrown[i] = std::current_exception();
			}
		});
	}
	for (auto &thread : threads)
		thread.join();
	std::sort(ended.begin(), ended.end());
	check(ended.size() == THREADS && ended.front() == "diary of 0" && ended.back() == "diary of 7",
	      "thread-local objects are destroyed at their thread's end");
	int caught = 0;
	for (auto &[number, exception] : thrown) {
		try {
			std::rethrow_exception(exception);
		} catch (const failure &e) {
			caught += e.depth == 0;
		}
	}
	thrown.clear();
	check(caught == THREADS && counted::alive == 0, "exceptions handed from thread to thread");
}

/* Ends by the signal or status of a child process that does this. */
static int child(void (*act)(void))
{
	int status = 0;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		act();
		_exit(1);
	}
	waitpid(pid, &status, 0);
	return status;
}

static void uncaught(void)
{
	int status = child([] {
		std::set_terminate([] {
			try {
				throw;
			} catch (const failure &) {
				_exit(7);
			}
		});
		descend(3);
	});

	check(WIFEXITED(status) && WEXITSTATUS(status) == 7, "nobody catches it: the terminate handler");
	status = child([] { []() noexcept { descend(3); }(); });
	check(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "out of a noexcept function: abort");
}

static void containers(void)
{
	std::unordered_map<std::string, std::shared_ptr<std::vector<int>>> table;

	for (int i = 0; i < 1000; i++) {
		auto &entry = table["key " + std::to_string(i % 100)];
		if (!entry)
			entry = std::make_shared<std::vector<int>>();
		entry->push_back(i);
	}
	check(table.size() == 100 && table["key 7"]->size() == 10 && table["key 7"]->back() == 907, "containers");
}

__attribute__((noinline)) static long thrown_in_a_loop(long n)
{
	long caught = 0;

	for (long i = 0; i < n; i++) {
		try {
			throw i;
		} catch (long value) {
			caught += value == i;
		}
	}
	return caught;
}

static struct first {
	int value;
	first() : value(1) {}
} before_main;

int main()
{
	const char *asked = getenv("n");
	long n = asked ? atol(asked) : 1000;

	printf("exceptions: mode %s\n", ukl_mode_name());
	check(before_main.value == 1, "constructors before main");
	through_frames();
	rethrown();
	from_libraries();
	types();
	from_threads();
	uncaught();
	containers();
	check(thrown_in_a_loop(n) == n, "thrown and caught in a loop");
	printf("exceptions: %d checks, %d wrong, %s\n", checks, wrong, wrong ? "FAILED" : "ok");
	return wrong != 0;
}
