/* SPDX-License-Identifier: MIT */
#include "rocksdb_env.h"

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include <rocksdb/env.h>
#include <rocksdb/file_system.h>
#include <rocksdb/version.h>

struct rocksdb_env {
	std::unique_ptr<rocksdb::Env> env;
	std::shared_ptr<rocksdb::FileSystem> files;
};

namespace
{

/*
 * What is behind a rocksdb_file. The lowest bits of the pointer say which: a structure around it
 * would cost each opening an allocation that the environment's own users do not pay.
 */
enum kind : uintptr_t { READABLE, WRITABLE, UPDATABLE, KINDS = 3 };

const rocksdb::FileOptions &file_options()
{
	static const rocksdb::FileOptions options;

	return options;
}

const rocksdb::IOOptions &io_options()
{
	static const rocksdb::IOOptions options;

	return options;
}

thread_local std::string last_error;

int check(const rocksdb::IOStatus &status)
{
	if (status.ok())
		return 0;
	last_error = status.ToString();
	return -1;
}

/* The environment wants paths as std::string. One that is used again seldom allocates. */
const std::string &as_string(const char *path)
{
	thread_local std::string string;

	string.assign(path);
	return string;
}

template <typename File>
rocksdb_file *wrap(const rocksdb::IOStatus &status, std::unique_ptr<File> file, kind kind)
{
	if (check(status) < 0)
		return nullptr;
	return reinterpret_cast<rocksdb_file *>(reinterpret_cast<uintptr_t>(file.release()) | kind);
}

kind kind_of(const rocksdb_file *file)
{
	return static_cast<kind>(reinterpret_cast<uintptr_t>(file) & KINDS);
}

template <typename File> File *unwrap(rocksdb_file *file)
{
	return reinterpret_cast<File *>(reinterpret_cast<uintptr_t>(file) & ~uintptr_t{KINDS});
}

} // namespace

rocksdb_env *rocksdb_env_new()
{
	std::unique_ptr<rocksdb::Env> env(rocksdb::NewMemEnv(rocksdb::Env::Default()));
	std::shared_ptr<rocksdb::FileSystem> files = env->GetFileSystem();

	return new rocksdb_env{std::move(env), std::move(files)};
}

void rocksdb_env_free(rocksdb_env *env)
{
	delete env;
}

const char *rocksdb_env_error()
{
	return last_error.c_str();
}

const char *rocksdb_env_version()
{
	static const std::string version = rocksdb::GetRocksVersionAsString();

	return version.c_str();
}

/* Not by FileExists(), which looks at all paths when there is none like this. */
bool rocksdb_env_exists(rocksdb_env *env, const char *path)
{
	uint64_t size = 0;

	return env->files->GetFileSize(as_string(path), io_options(), &size, nullptr).ok();
}

int64_t rocksdb_env_size(rocksdb_env *env, const char *path)
{
	uint64_t size = 0;

	if (check(env->files->GetFileSize(as_string(path), io_options(), &size, nullptr)) < 0)
		return -1;
	return static_cast<int64_t>(size);
}

int rocksdb_env_mkdir(rocksdb_env *env, const char *path)
{
	return check(env->files->CreateDir(as_string(path), io_options(), nullptr));
}

int rocksdb_env_remove(rocksdb_env *env, const char *path)
{
	return check(env->files->DeleteFile(as_string(path), io_options(), nullptr));
}

int rocksdb_env_rename(rocksdb_env *env, const char *from, const char *to)
{
	thread_local std::string to_string;

	to_string.assign(to);
	return check(env->files->RenameFile(as_string(from), to_string, io_options(), nullptr));
}

int64_t rocksdb_env_list(rocksdb_env *env, const char *path)
{
	std::vector<std::string> names;
	int64_t count = 0;

	if (check(env->files->GetChildren(as_string(path), io_options(), &names, nullptr)) < 0)
		return -1;
	for (const std::string &name : names)
		count += name.empty() ? 0 : 1;
	return count;
}

rocksdb_file *rocksdb_env_open(rocksdb_env *env, const char *path, rocksdb_mode mode)
{
	const std::string &string = as_string(path);
	rocksdb::FileSystem &files = *env->files;

	if (mode == ROCKSDB_READ) {
		std::unique_ptr<rocksdb::FSRandomAccessFile> file;
		auto status = files.NewRandomAccessFile(string, file_options(), &file, nullptr);
		return wrap(status, std::move(file), READABLE);
	}
	if (mode == ROCKSDB_UPDATE) {
		std::unique_ptr<rocksdb::FSRandomRWFile> file;
		auto status = files.NewRandomRWFile(string, file_options(), &file, nullptr);
		return wrap(status, std::move(file), UPDATABLE);
	}
	std::unique_ptr<rocksdb::FSWritableFile> file;
	if (mode == ROCKSDB_APPEND) {
		auto status = files.ReopenWritableFile(string, file_options(), &file, nullptr);
		return wrap(status, std::move(file), WRITABLE);
	}
	auto status = files.NewWritableFile(string, file_options(), &file, nullptr);
	return wrap(status, std::move(file), WRITABLE);
}

int rocksdb_env_close(rocksdb_file *file)
{
	int rc = 0;

	switch (kind_of(file)) {
	case WRITABLE: {
		std::unique_ptr<rocksdb::FSWritableFile> writable(unwrap<rocksdb::FSWritableFile>(file));
		rc = check(writable->Close(io_options(), nullptr));
		break;
	}
	case UPDATABLE: {
		std::unique_ptr<rocksdb::FSRandomRWFile> updatable(unwrap<rocksdb::FSRandomRWFile>(file));
		rc = check(updatable->Close(io_options(), nullptr));
		break;
	}
	default:
		delete unwrap<rocksdb::FSRandomAccessFile>(file);
		break;
	}
	return rc;
}

int64_t rocksdb_env_pread(rocksdb_file *file, void *buffer, size_t size, uint64_t offset)
{
	rocksdb::Slice result;
	auto *scratch = static_cast<char *>(buffer);
	int rc = 0;

	if (kind_of(file) == UPDATABLE) {
		rc = check(unwrap<rocksdb::FSRandomRWFile>(file)->Read(offset, size, io_options(), &result,
															   scratch, nullptr));
	} else {
		rc = check(unwrap<rocksdb::FSRandomAccessFile>(file)->Read(offset, size, io_options(),
																   &result, scratch, nullptr));
	}
	if (rc < 0)
		return rc;
	/* The interface may answer with memory of its own. */
	if (result.data() != scratch)
		std::memcpy(scratch, result.data(), result.size());
	return static_cast<int64_t>(result.size());
}

int rocksdb_env_pwrite(rocksdb_file *file, const void *buffer, size_t size, uint64_t offset)
{
	rocksdb::Slice data(static_cast<const char *>(buffer), size);

	return check(unwrap<rocksdb::FSRandomRWFile>(file)->Write(offset, data, io_options(), nullptr));
}

int rocksdb_env_append(rocksdb_file *file, const void *buffer, size_t size)
{
	rocksdb::Slice data(static_cast<const char *>(buffer), size);

	return check(unwrap<rocksdb::FSWritableFile>(file)->Append(data, io_options(), nullptr));
}

int rocksdb_env_truncate(rocksdb_file *file, uint64_t size)
{
	auto *writable = unwrap<rocksdb::FSWritableFile>(file);
	uint64_t now = writable->GetFileSize(io_options(), nullptr);

	if (size > now) {
		std::string zeros(size - now, '\0');
		return check(writable->Append(zeros, io_options(), nullptr));
	}
	return check(writable->Truncate(size, io_options(), nullptr));
}

int rocksdb_env_sync(rocksdb_file *file)
{
	return check(unwrap<rocksdb::FSRandomRWFile>(file)->Sync(io_options(), nullptr));
}
